/**
 * Bad input against a whole domain, through the router over TLS and against the REST API. Whatever comes, the answer has the
 * right status and a stable code, gives nothing of the program away, and afterwards good devices are served by the same
 * processes as before. On device addresses 401 and 403 never appear: they would make a device leave management.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { afterEach, before, describe, test } from 'node:test';
import { accountOperations } from '../../../src/api/accounts.ts';
import { deviceCommandOperations } from '../../../src/api/device-commands.ts';
import { tokenOperations } from '../../../src/api/tokens.ts';
import { serializeCheckin } from '../../../src/protocol/apple/checkin.ts';
import { parseCommand } from '../../../src/protocol/apple/command.ts';
import { serializeConnect } from '../../../src/protocol/apple/connect.ts';
import { appleContentType } from '../../../src/protocol/apple/content-type.ts';
import { parseEnrollmentProfile } from '../../../src/protocol/apple/enrollment-profile.ts';
import { signDetached } from '../../../src/protocol/cms/signing.ts';
import type { PlistDictionary } from '../../../src/protocol/plist/value.ts';
import { selfSignedCertificate } from '../../../src/protocol/x509/certificate.ts';
import { createRsaKeyPair } from '../../../src/protocol/x509/key-pair.ts';
import type { RunningDomain } from '../../harness/domain.ts';
import {
  askActivation,
  askCertificate,
  enrolDevice,
  newPassword,
  type RawAnswer,
  type RawDevice,
  sendRaw,
} from '../../harness/raw-device.ts';
import type { QuietDomain } from './stage.ts';
import { binaryPlist, nested, sharedBomb } from './trick-plists.ts';

const overLimit = 1024 * 1024 + 1;
const unknownToken = randomBytes(32).toString('base64url');

export function describeBadInput(stage: QuietDomain): void {
  describe('bad input', () => {
    let domain: RunningDomain;
    let good: RawDevice;
    let other: RawDevice;
    let processes: unknown[];

    const processIds = async () => [
      ...(await domain.sql`
      select name, process_id, coalesce((detail->'links'->0->>'reconnects')::int, 0) as reconnects
        from component where stopped_at is null order by name`),
    ];

    before(async () => {
      domain = stage.domain;
      for (const name of ['good', 'other', 'guessed', 'expired', 'parallel', 'scep']) {
        await domain.api.call(accountOperations.create, { body: { name } });
      }
      [good, other] = await Promise.all([enrolDevice(domain, 'good'), enrolDevice(domain, 'other')]);
      processes = await processIds();
    });
    afterEach(async () => {
      for (const device of [good, other]) assert.equal((await device.idle()).status, 200, 'a good device is served');
      assert.deepEqual(await processIds(), processes, 'no process and no link was replaced');
    });

    const refused = (what: string, answer: RawAnswer, status: number, code: string) => {
      assert.deepEqual([what, answer.status, answer.code], [what, status, code], answer.body.toString().slice(0, 300));
      assert.doesNotMatch(answer.body.toString(), /\bat .*[./](?:ts|mjs|js):\d|node_modules|postgres|stack/i, what);
    };
    const idleBody = (device: RawDevice) => serializeConnect({ status: 'Idle', udid: device.udid });
    const signatureOf = (device: RawDevice, body: Buffer) =>
      signDetached({ key: device.keyPair.privateKey, certificateDer: device.certificateDer, body });
    const put = (url: string, headers: Record<string, string>, body: Buffer | string) =>
      sendRaw(url, { headers: { 'content-type': appleContentType.connect, ...headers }, body });

    test('property lists that are damaged, deep, unfolding or of something else are 400', async () => {
      const xml = (inner: string, doctype = '') =>
        `<?xml version="1.0"?>${doctype}<plist version="1.0">${inner}</plist>`;
      const laughs = `<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`;
      const external = '<!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]>';
      const whole = idleBody(good);
      const bodies: [string, Buffer | string, string][] = [
        ['empty', '', 'ERR_CONNECT_MALFORMED'],
        ['text', 'hello', 'ERR_CONNECT_MALFORMED'],
        ['bytes', randomBytes(500), 'ERR_CONNECT_MALFORMED'],
        ['truncated', whole.subarray(0, whole.length / 2), 'ERR_CONNECT_MALFORMED'],
        ['billion laughs', xml('<dict><key>Status</key><string>&b;</string></dict>', laughs), 'ERR_CONNECT_MALFORMED'],
        [
          'external entity',
          xml('<dict><key>Status</key><string>&x;</string></dict>', external),
          'ERR_CONNECT_MALFORMED',
        ],
        ['undeclared entity', xml('<dict><key>Status</key><string>&x;</string></dict>'), 'ERR_CONNECT_MALFORMED'],
        ['deep XML', xml(`${'<array>'.repeat(5000)}${'</array>'.repeat(5000)}`), 'ERR_PLIST_TOO_DEEP'],
        ['many values', xml(`<array>${'<true/>'.repeat(110_000)}</array>`), 'ERR_PLIST_TOO_LARGE'],
        ['UTF-16', Buffer.from(`\ufeff${xml('<dict/>')}`, 'utf16le'), 'ERR_CONNECT_MALFORMED'],
        ['no dictionary', xml('<string>Idle</string>'), 'ERR_CONNECT_MALFORMED'],
        ['no Status', xml('<dict><key>UDID</key><string>x</string></dict>'), 'ERR_CONNECT_MALFORMED'],
        ['a prototype', xml('<dict><key>__proto__</key><dict/></dict>'), 'ERR_CONNECT_MALFORMED'],
        ['cyclic binary', binaryPlist([[0xa1, 0x00]]), 'ERR_CONNECT_MALFORMED'],
        [
          'huge count',
          binaryPlist([[0xaf, 0x13, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]),
          'ERR_CONNECT_MALFORMED',
        ],
        ['huge text', binaryPlist([[0x6f, 0x12, 0x7f, 0xff, 0xff, 0xff]]), 'ERR_CONNECT_MALFORMED'],
        ['deep binary', nested(200), 'ERR_PLIST_TOO_DEEP'],
        ['binary laughs', sharedBomb(20), 'ERR_PLIST_TOO_LARGE'],
        ['binary without trailer', Buffer.from('bplist00'), 'ERR_CONNECT_MALFORMED'],
      ];
      for (const [what, body, code] of bodies) {
        refused(what, await good.connect(body), 400, code);
        const checkin = await good.checkIn(body);
        refused(`${what} at check-in`, checkin, 400, code.replace('CONNECT', 'CHECKIN'));
      }
    });

    test('what a database cannot store harms nobody else, and what does not belong to an answer is not stored', async () => {
      const NUL = [0x51, 0x00];
      // {Status: Acknowledged, CommandUUID: NUL, UDID: NUL, QueryResponses: {NUL: NUL}} with the text shared.
      const text = (value: string) => [0x5f, 0x10, value.length, ...Buffer.from(value)];
      const names = ['Status', 'CommandUUID', 'UDID', 'QueryResponses'].map(text);
      const objects = [[0xd4, 1, 2, 3, 4, 5, 6, 6, 7], ...names, text('Acknowledged'), NUL, [0xd1, 6, 6]];
      const trick = binaryPlist(objects);
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, index) => (index % 3 === 0 ? good.connect(trick) : other.idle())),
      );
      for (const [index, answer] of answers.entries()) {
        if (index % 3 === 0) assert.ok([200, 400, 503].includes(answer.status), String(answer.status));
        else assert.ok(answer.status === 200 || answer.code === 'ERR_OVERLOADED', `${answer.status} ${answer.code}`);
      }
      const flood = serializeConnect({
        status: 'Acknowledged',
        udid: good.udid,
        commandUuid: '00000000-0000-4000-8000-000000000000',
        payload: { QueryResponses: { Unasked: 'yes' } },
      });
      assert.equal((await good.connect(flood)).status, 200);
      const [row] = await domain.sql`select count(*)::int as count from device where inventory ? 'Unasked'`;
      assert.equal(row?.['count'], 0);
      const nulName = serializeCheckin('TokenUpdate', { UDID: 'x', Topic: good.facts.topic }).toString();
      refused('a TokenUpdate without token', await good.checkIn(nulName), 400, 'ERR_CHECKIN_MALFORMED');
    });

    test('an odd answer settles its command, and what cannot be read is given up by itself or by an operator', async () => {
      const [row] = await domain.sql`select id from device where udid = ${other.udid}`;
      const id = String(row?.['id']);
      const order = async () =>
        (await domain.api.call(deviceCommandOperations.queue, { params: { id }, body: { requestType: 'ProfileList' } }))
          .commandUuid;
      const stateOf = async (command: string) =>
        (await domain.sql`select state from command where id = ${command}`)[0]?.['state'];
      const told = (answer: RawAnswer) =>
        answer.body.length === 0 ? undefined : parseCommand(answer.body).commandUuid;
      const settle = async (command: string | undefined, payload: PlistDictionary) => {
        const answer = await other.connect(
          serializeConnect({ status: 'Error', udid: other.udid, ...(command && { commandUuid: command }), payload }),
        );
        assert.equal(answer.status, 200);
        return told(answer);
      };
      const ordered = [await order(), await order(), await order()];
      const odd = { ErrorChain: { ErrorCode: 'odd' }, Long: 'x'.repeat(17 * 1024), ProfileList: 7 };
      let command = told(await other.idle());
      while (command !== undefined) command = await settle(command, odd);
      for (const done of ordered) assert.equal(await stateOf(done), 'error');

      const [exhausted, cancelled] = [await order(), await order()];
      for (command = told(await other.idle()); command !== exhausted; command = told(await other.idle())) {
        await settle(command, odd);
      }
      const answers = [];
      for (let times = 0; times < 10; times++) answers.push(await other.connect('no plist'));
      for (const answer of answers.slice(0, 9)) refused('no plist', answer, 400, 'ERR_CONNECT_MALFORMED');
      assert.equal(answers[9]?.status, 200);
      assert.equal(await stateOf(exhausted), 'error');
      await domain.api.call(deviceCommandOperations.cancelOfDevice, { params: { id }, query: { handedOut: 'true' } });
      assert.equal(await stateOf(cancelled), 'cancelled');
      assert.equal((await domain.sql`select 1 from command where device_id = ${id} and state = 'sent'`).length, 0);
    });

    test('bodies above 1 MiB are 413, wrong methods and paths 400 or 404; a content type decides nothing', async () => {
      const { serverUrl, checkInUrl } = good.facts;
      for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
        refused('oversized', await put(serverUrl, headers, Buffer.alloc(overLimit)), 413, 'ERR_BODY_TOO_LARGE');
      }
      const body = idleBody(good);
      const signature = { 'mdm-signature': signatureOf(good, body) };
      for (const type of ['text/html', 'application/json', appleContentType.checkin, '']) {
        const answer = await put(serverUrl, { ...signature, 'content-type': type }, body);
        assert.equal(answer.status, 200, `type ${type}`);
      }
      refused('a connect at the check-in', await put(checkInUrl, signature, body), 400, 'ERR_CHECKIN_MALFORMED');
      refused('GET', await sendRaw(serverUrl, { method: 'GET', headers: signature }), 400, 'ERR_INPUT');
      for (const method of ['DELETE', 'PATCH', 'OPTIONS']) {
        refused(method, await sendRaw(serverUrl, { method, headers: signature }), 405, 'ERR_METHOD');
      }
      const paths: [string, number, string][] = [
        [`/mdm/${unknownToken}/connect`, 400, 'ERR_UNKNOWN_DEVICE'],
        [`/scep/${unknownToken}?operation=GetCACert`, 400, 'ERR_UNKNOWN_DEVICE'],
        ['/mdm/short/connect', 400, 'ERR_UNKNOWN_DEVICE'],
        [`/mdm/${"'; drop table device; --".padEnd(43, 'x').replaceAll(' ', '+')}/connect`, 400, 'ERR_UNKNOWN_DEVICE'],
        ['/.bramble/hello', 404, 'ERR_NOT_FOUND'],
        ['/.bramble/control', 404, 'ERR_NOT_FOUND'],
        ['/activate/..%2f.bramble/route', 404, 'ERR_NOT_FOUND'],
        ['/api/v1/accounts', 404, 'ERR_NOT_FOUND'],
        ['//mdm/x', 404, 'ERR_NOT_FOUND'],
        ['/', 404, 'ERR_NOT_FOUND'],
      ];
      for (const [path, status, code] of paths) {
        refused(path, await put(`${domain.publicUrl}${path}`, signature, body), status, code);
      }
      for (const path of [`${new URL(serverUrl).pathname}/`, new URL(serverUrl).pathname.replace('/connect', '')]) {
        const answer = await put(`${domain.publicUrl}${path}`, signature, body);
        refused('no redirect', answer, 404, 'ERR_NOT_FOUND');
      }
    });

    test('headers larger than the link carries are 400, for a device, for nobody and for a tunnel', async () => {
      const session = connectHttp2(domain.publicUrl, { rejectUnauthorized: false });
      const large = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`x-${index}`, '~'.repeat(3200)]));
      for (const path of [new URL(good.facts.serverUrl).pathname, '/activate']) {
        const stream = session.request({ ...large, ':method': 'PUT', ':path': path }, { endStream: true });
        const status = await new Promise((resolve, reject) => {
          stream.on('response', (headers) => resolve(headers[':status']));
          stream.on('error', reject);
        });
        assert.equal(status, 400);
        stream.close();
      }
      session.destroy();
    });

    test('identities that do not hold are 400, never 401 or 403', async () => {
      const { serverUrl } = good.facts;
      const body = idleBody(good);
      const keyPair = await createRsaKeyPair();
      const subject = { commonName: new URL(serverUrl).pathname.split('/')[2] ?? '' };
      const selfMade = {
        keyPair,
        certificateDer: selfSignedCertificate({ key: keyPair.privateKey, subject, days: 1 }),
      };
      const bySelf = signDetached({ key: keyPair.privateKey, certificateDer: selfMade.certificateDer, body });
      const borrowed = signDetached({ key: keyPair.privateKey, certificateDer: good.certificateDer, body });
      const spoofed = `:${Buffer.from(good.certificateDer).toString('base64')}:`;
      const cases: [string, Record<string, string>, string][] = [
        ['none', {}, 'ERR_IDENTITY_MISSING'],
        ['a spoofed header', { 'client-cert': spoofed }, 'ERR_IDENTITY_MISSING'],
        [
          'another spoofed header',
          { 'x-client-cert': spoofed, 'bramble-client-cert': spoofed },
          'ERR_IDENTITY_MISSING',
        ],
        ['no signature at all', { 'mdm-signature': 'aGVsbG8=' }, 'ERR_SIGNATURE_INVALID'],
        ['rubbish', { 'mdm-signature': '%%%%' }, 'ERR_SIGNATURE_INVALID'],
        ['over another body', { 'mdm-signature': signatureOf(good, Buffer.from('x')) }, 'ERR_SIGNATURE_INVALID'],
        ['by another key under the certificate', { 'mdm-signature': borrowed }, 'ERR_SIGNATURE_INVALID'],
        ['self-made', { 'mdm-signature': bySelf }, 'ERR_WRONG_IDENTITY'],
        ['of another enrolment', { 'mdm-signature': signatureOf(other, body) }, 'ERR_WRONG_IDENTITY'],
      ];
      for (const [what, headers, code] of cases) refused(what, await put(serverUrl, headers, body), 400, code);
      const headers = { 'content-type': appleContentType.connect };
      const inTls = (identity: RawDevice | typeof selfMade, more = {}) =>
        sendRaw(serverUrl, { identity, headers: { ...headers, ...more }, body });
      refused('self-made in TLS', await inTls(selfMade), 400, 'ERR_WRONG_IDENTITY');
      refused('of another enrolment in TLS', await inTls(other), 400, 'ERR_WRONG_IDENTITY');
      const two = await inTls(other, { 'mdm-signature': signatureOf(good, body) });
      refused('two identities', two, 400, 'ERR_IDENTITY_MISMATCH');
      assert.equal((await inTls(good)).status, 200);
      const checkOut = serializeCheckin('CheckOut', { UDID: good.udid, Topic: good.facts.topic });
      const stolen = await put(
        good.facts.checkInUrl,
        { 'content-type': appleContentType.checkin, 'mdm-signature': signatureOf(other, checkOut) },
        checkOut,
      );
      refused('a check-out by another device', stolen, 400, 'ERR_WRONG_IDENTITY');
    });

    test('activation passwords: guessed, guessed at once, expired, of nobody', async () => {
      const password = await newPassword(domain, 'guessed');
      for (let guess = 1; guess <= 6; guess++) {
        refused(`guess ${guess}`, await askActivation(domain, 'guessed', `no-${guess}`), 400, 'ERR_ACTIVATION_REFUSED');
      }
      assert.equal(
        (await askActivation(domain, 'guessed', password)).status,
        200,
        'who does not know the selector costs no try',
      );
      const [selector] = password.split('-');
      for (let guess = 1; guess <= 5; guess++) {
        const answer = await askActivation(domain, 'guessed', `${selector}-wrong${guess}-wrongs`);
        refused(`guess ${guess} with the selector`, answer, 400, 'ERR_ACTIVATION_REFUSED');
      }
      refused(
        'the right one too late',
        await askActivation(domain, 'guessed', password),
        400,
        'ERR_ACTIVATION_REFUSED',
      );

      const parallel = await newPassword(domain, 'parallel');
      const guesses = Array.from({ length: 25 }, (_, index) => askActivation(domain, 'parallel', `no-${index}`));
      for (const answer of await Promise.all(guesses)) refused('at once', answer, 400, 'ERR_ACTIVATION_REFUSED');
      assert.equal((await askActivation(domain, 'parallel', parallel)).status, 200);

      const expired = await newPassword(domain, 'expired');
      await domain.sql`update activation_password p set expires_at = now() - interval '1 second'
      from account a where a.id = p.account_id and a.name = 'expired'`;
      refused('expired', await askActivation(domain, 'expired', expired), 400, 'ERR_ACTIVATION_REFUSED');
      for (const name of ['nobody', '', "x' or 1=1 --", '../..', 'x'.repeat(1000), '\u0000', '💥']) {
        const code = name === '' ? 'ERR_INPUT' : 'ERR_ACTIVATION_REFUSED';
        refused(`account ${name.slice(0, 20)}`, await askActivation(domain, name, 'x'), 400, code);
      }
      refused(
        'a form that is too large',
        await askActivation(domain, 'x'.repeat(5000), 'x'),
        413,
        'ERR_BODY_TOO_LARGE',
      );
      const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
      refused('as JSON', await sendRaw(`${domain.publicUrl}/activate`, json), 415, 'ERR_CONTENT_TYPE');
      refused('by GET', await sendRaw(`${domain.publicUrl}/activate`, { method: 'GET' }), 405, 'ERR_METHOD');
    });

    test('SCEP: garbage, a wrong challenge, another key; the same request again gets the same certificate', async () => {
      const profile = await askActivation(domain, 'scep', await newPassword(domain, 'scep'));
      const { scepUrl, challenge } = parseEnrollmentProfile(profile.body);
      const post = (body: Buffer) => sendRaw(`${scepUrl}?operation=PKIOperation`, { method: 'POST', body });
      for (const garbage of [Buffer.alloc(0), randomBytes(2000), Buffer.from('3080'.repeat(500), 'hex')]) {
        const answer = await post(garbage);
        assert.equal(answer.status, 400);
        assert.match(answer.code ?? '', /^ERR_/);
      }
      refused(
        'an operation',
        await sendRaw(`${scepUrl}?operation=Steal`, { method: 'GET' }),
        400,
        'ERR_SCEP_OPERATION',
      );
      refused('oversized', await post(Buffer.alloc(overLimit)), 413, 'ERR_BODY_TOO_LARGE');
      const [keyPair, rival] = await Promise.all([createRsaKeyPair(), createRsaKeyPair()]);
      for (const wrong of [undefined, '', 'wrong', `${challenge}x`]) {
        const { answer, certificateDer } = await askCertificate(scepUrl, { keyPair, challenge: wrong });
        assert.deepEqual([answer.status, certificateDer], [200, undefined]);
      }
      const first = await askCertificate(scepUrl, { keyPair, challenge });
      assert.ok(first.certificateDer);
      const taken = await askCertificate(scepUrl, { keyPair: rival, challenge });
      assert.equal(taken.certificateDer, undefined, 'the offer is bound to the first key');
      const again = await askCertificate(scepUrl, { keyPair, challenge });
      assert.deepEqual(again.certificateDer, first.certificateDer);
      assert.equal((await post(first.der)).status, 200);
      const [row] = await domain.sql`
      select count(*)::int as count from device d join account a on a.id = d.account_id
       where a.name = 'scep' and d.identity_fingerprint is not null`;
      assert.equal(row?.['count'], 1);
      const elsewhere = await askCertificate(good.facts.scepUrl, { keyPair: rival, challenge });
      assert.equal(elsewhere.certificateDer, undefined, 'a challenge is good for its own enrolment');
    });

    test('REST: tokens, bodies, ids and names', async () => {
      const [service] = await domain.sql<{ url: string }[]>`
      select loopback_url as url from component where kind = 'administration' and stopped_at is null`;
      const send = async (
        method: string,
        path: string,
        given: { token?: string; body?: string; type?: string } = {},
      ) => {
        const response = await fetch(`${service?.url}/api/v1${path}`, {
          method,
          headers: {
            ...(given.token === undefined ? {} : { authorization: `Bearer ${given.token}` }),
            ...(given.body === undefined ? {} : { 'content-type': given.type ?? 'application/json' }),
          },
          ...(given.body === undefined ? {} : { body: given.body }),
        });
        const body = Buffer.from(await response.arrayBuffer());
        let code: string | undefined;
        try {
          ({ code } = JSON.parse(body.toString()) as { code?: string });
        } catch {
          assert.fail(`${method} ${path} answered no JSON: ${body.toString().slice(0, 200)}`);
        }
        return { status: response.status, body, code };
      };
      const { token } = domain;
      const made = await domain.api.call(tokenOperations.create, { body: { name: 'revoked' } });
      await domain.api.call(tokenOperations.revoke, { params: { name: 'revoked' } });
      refused('no token', await send('GET', '/accounts'), 401, 'ERR_TOKEN_MISSING');
      refused('wrong token', await send('GET', '/accounts', { token: 'bramble_x' }), 401, 'ERR_TOKEN_INVALID');
      refused('revoked', await send('GET', '/accounts', { token: made.token }), 401, 'ERR_TOKEN_INVALID');
      const post = (path: string, body: string, type?: string) =>
        send('POST', path, { token, body, ...(type === undefined ? {} : { type }) });
      const bodies: [string, string, number, string][] = [
        ['malformed', '{"name": ', 400, 'ERR_INPUT'],
        ['not an object', '[]', 400, 'ERR_INPUT'],
        ['empty object', '{}', 400, 'ERR_INPUT'],
        ['a prototype', '{"__proto__": {"name": "x"}}', 400, 'ERR_INPUT'],
        ['a number for a name', '{"name": 7}', 400, 'ERR_INPUT'],
        ['oversized', JSON.stringify({ name: 'x'.repeat(overLimit) }), 413, 'ERR_BODY_TOO_LARGE'],
        ['a long name', JSON.stringify({ name: 'x'.repeat(10_000) }), 400, 'ERR_ACCOUNT_NAME'],
      ];
      for (const [what, body, status, code] of bodies) refused(what, await post('/accounts', body), status, code);
      refused('XML', await post('/accounts', '<a/>', 'text/xml'), 415, 'ERR_MEDIA_TYPE');
      for (const name of ["'; drop table account; --", 'a\u0000b', '../../etc/passwd', ' ', '\u202egnp']) {
        const answer = await post('/accounts', JSON.stringify({ name }));
        assert.ok(answer.status === 400 || answer.status === 201, `${JSON.stringify(name)} ${answer.status}`);
        if (answer.status === 400) assert.match(answer.code ?? '', /^ERR_/);
        const found = await send('GET', `/accounts/${encodeURIComponent(name)}`, { token });
        assert.ok(
          answer.status === 201 ? found.status === 200 : [400, 404].includes(found.status),
          JSON.stringify(name),
        );
      }
      for (const text of ['a\u0000b', 'x\u0000']) {
        const answer = await post('/groups', JSON.stringify({ name: text, rank: 77 }));
        assert.equal(answer.status, 400, `NUL in a group: ${answer.code}`);
      }
      for (const path of [
        '/devices/7',
        "/devices/'or'1",
        '/moves/zzz',
        '/devices/%00',
        '/devices?after=x',
        '/accounts?limit=-1',
      ]) {
        const answer = await send('GET', path, { token });
        assert.ok(answer.status === 400 || answer.status === 404, `${path} ${answer.status} ${answer.code}`);
        assert.match(answer.code ?? '', /^ERR_/, path);
      }
      const bad = await send('GET', '/devices/%ff%fe', { token });
      assert.ok(bad.status === 400 || bad.status === 404);
      assert.match(bad.code ?? '', /^ERR_/, bad.body.toString());
      const unknown = await send('DELETE', '/commands/00000000-0000-4000-8000-000000000000', { token });
      refused('a command of nobody', unknown, 404, 'ERR_NOT_FOUND');
      const [row] = await domain.sql`select count(*)::int as count from account where name in ('good', 'other')`;
      assert.equal(row?.['count'], 2);
    });
  });
}
