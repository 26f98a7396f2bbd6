/** One device's whole way, over real HTTP: activation, SCEP, check-in, commands; and what it is answered when things go wrong. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { createActivation } from '../activation/activation.ts';
import { type ActivationFixture, createActivationFixture, testDomain } from '../activation/activation-fixture.ts';
import { useUpActivationPassword } from '../activation/activation-password.ts';
import { createScepService } from '../activation/scep-service.ts';
import { systemClock } from '../base/clock.ts';
import { type CommandId, type DeviceId, newId } from '../base/ids.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { createTestDatabase } from '../database/test-database.ts';
import { queueCommand } from '../devices/command-queue.ts';
import { createConnectBatcher } from '../devices/connect-batch.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { seedDomainRow } from '../devices/device-fixture.ts';
import { removeDevice } from '../devices/device-removal.ts';
import { oweDeliveries } from '../policy/delivery/owe-deliveries.ts';
import { silentLogger } from '../process/logger.ts';
import { ownFeatures } from '../process/own-release.ts';
import { serializeCheckin } from '../protocol/apple/checkin.ts';
import { commandRequest, parseCommand, serializeCommand } from '../protocol/apple/command.ts';
import { serializeConnect } from '../protocol/apple/connect.ts';
import { parseEnrollmentProfile } from '../protocol/apple/enrollment-profile.ts';
import { serializeClientCert } from '../protocol/client-cert-header.ts';
import { createCertificateKeys } from '../protocol/cms/certificate-keys.ts';
import { signDetached } from '../protocol/cms/signing.ts';
import type { PlistDictionary, PlistValue } from '../protocol/plist/value.ts';
import { buildPkcsReq, parseCertRep } from '../protocol/scep/client-message.ts';
import { createRsaKeyPair } from '../protocol/x509/key-pair.ts';
import { createDeviceHandler } from './device-handler.ts';
import type { RequestWay } from './device-identity.ts';
import { createDeviceNotices } from './device-notices.ts';
import { createIdentityUse, type IdentityUse } from './identity-use.ts';
import { createRequestSamples } from './request-samples.ts';

const { url } = await createTestDatabase();
const limited = { timeout: 30_000 };
const aspenConnect = 'application/x-apple-aspen-mdm';
const aspenCheckin = 'application/x-apple-aspen-mdm-checkin';
const statuses: number[] = [];

interface TestServer {
  origin: string;
  samples: ReturnType<typeof createRequestSamples>;
  identityUse: IdentityUse;
  close(): Promise<void>;
}

/** Serves device requests of `here` as the instance's main does; `x-way` stands for the way that a request came. */
async function startServer(fixture: ActivationFixture, db: Database): Promise<TestServer> {
  const { authorities, here } = fixture;
  const instanceId = here.id;
  const samples = createRequestSamples(instanceId);
  const identityUse = createIdentityUse({ db, instanceId, features: ownFeatures, clock: systemClock });
  const serve = createDeviceHandler({
    ...{ db, instanceId, log: silentLogger, samples },
    activation: createActivation({ db, instanceId, domain: async () => testDomain, authorities }),
    scep: createScepService({ db, instanceId, authorities, registrationActive: async () => false }),
    checkin: {
      ...{ db, instanceId, keys: createMasterKeys(), pushTopic: async () => testDomain.pushTopic },
      onActivated: async (tx, device) => {
        await useUpActivationPassword(tx, { deviceId: device.deviceId, instanceId });
        await oweDeliveries(tx, { deviceIds: [device.deviceId], cause: 'activation', budgeted: false });
      },
      onReturned: async (tx, device) => {
        await oweDeliveries(tx, { deviceIds: [device.deviceId], cause: 'activation', budgeted: true });
      },
    },
    connects: createConnectBatcher({
      send: (requests) => connectDevices(db, instanceId, requests),
      movingPatienceMs: 5,
    }),
    clock: systemClock,
    identityUse,
    notices: createDeviceNotices({ db, log: silentLogger, clock: systemClock }),
    certificateKeys: createCertificateKeys(),
    onAnswer: (_kind, answer) => {
      if (answer.code !== 'ERR_REMOVED') statuses.push(answer.status);
    },
  });
  const server = createServer((request, response) => serve(request, response, wayOf(request.headers['x-way'])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    samples,
    identityUse,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const wayOf = (header: unknown): RequestWay => (header === 'link' || header === 'proxy' ? header : 'loopback');

let fixture: ActivationFixture;
let server: TestServer;
before(async () => {
  fixture = await createActivationFixture(url);
  await seedDomainRow(fixture.db, '1.1.0');
  server = await startServer(fixture, fixture.db);
});
after(async () => {
  await server.close();
  await fixture.close();
});

type Reply = { status: number; type: string | null; owner: string | null; body: Buffer; code: string | undefined };

async function ask(path: string, init: RequestInit, origin = server.origin): Promise<Reply> {
  const response = await fetch(new URL(path, origin), init);
  const body = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type');
  const code = type === 'application/json' ? (JSON.parse(body.toString()) as { code: string }).code : undefined;
  return { status: response.status, type, owner: response.headers.get('bramble-owner'), body, code };
}

function activate(fields: Record<string, string>, origin?: string): Promise<Reply> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return ask('/activate', { method: 'POST', headers, body: new URLSearchParams(fields).toString() }, origin);
}

async function newDevice(signed = false) {
  const account = await fixture.account();
  const profile = await activate({
    account: account.name,
    password: account.password,
    ...(signed ? { signed: '1' } : {}),
  });
  assert.equal(profile.status, 200);
  assert.equal(profile.type, 'application/x-apple-aspen-config');
  const facts = parseEnrollmentProfile(profile.body);
  const { privateKey: key } = await createRsaKeyPair();
  const scep = new URL(facts.scepUrl).pathname;
  assert.match((await ask(`${scep}?operation=GetCACaps`, {})).body.toString(), /POSTPKIOperation/);
  const authority = (await ask(`${scep}?operation=GetCACert`, {})).body;
  const request = buildPkcsReq({
    key,
    subject: facts.subject,
    raCertificateDer: authority,
    ...(facts.challenge === undefined ? {} : { challengePassword: facts.challenge }),
  });
  const init = { method: 'POST', headers: { 'content-type': 'application/x-pki-message' }, body: bytes(request.der) };
  const rep = parseCertRep((await ask(`${scep}?operation=PKIOperation`, init)).body, request, authority);
  assert.ok(rep.status === 'success');
  const { certificateDer } = rep;
  const udid = `UDID-${account.name}`;
  const paths = { checkin: new URL(facts.checkInUrl).pathname, connect: new URL(facts.serverUrl).pathname };
  const put = (path: string, type: string, body: Buffer, headers: Record<string, string> = {}, origin?: string) => {
    const signature = signDetached({ key, certificateDer, body });
    const all = { 'content-type': type, 'mdm-signature': signature, ...headers };
    return ask(path, { method: 'PUT', headers: all, body: bytes(body) }, origin);
  };
  return {
    ...{ account, facts, udid, paths, certificateDer, scep, put },
    signedAt: (signingTime: Date, body: Buffer) =>
      put(paths.connect, aspenConnect, body, {
        'mdm-signature': signDetached({ key, certificateDer, body, signingTime }),
      }),
    checkin: (type: Parameters<typeof serializeCheckin>[0], fields: PlistDictionary = {}) =>
      put(paths.checkin, aspenCheckin, serializeCheckin(type, { UDID: udid, Topic: facts.topic, ...fields })),
    connect: (answer: Omit<Parameters<typeof serializeConnect>[0], 'udid'>, origin?: string) =>
      put(paths.connect, aspenConnect, serializeConnect({ udid, ...answer }), {}, origin),
    deviceId: async () => {
      const token = paths.connect.split('/')[2] ?? '';
      const [row] = await fixture.db<{ id: DeviceId }[]>`select id from device where token = ${token}`;
      assert.ok(row);
      return row.id;
    },
  };
}

async function activeDevice(signed = false) {
  const device = await newDevice(signed);
  assert.equal((await device.checkin('Authenticate', { OSVersion: '18.1' })).status, 200);
  const token = { Token: Buffer.from('token'), PushMagic: 'magic' };
  assert.equal((await device.checkin('TokenUpdate', token)).status, 200);
  return device;
}

const bytes = (body: Uint8Array) => new Uint8Array(body);
const outcome = ({ status, code }: Reply) => [status, code];

test('a device is activated, certified, checked in, and does and answers its commands', limited, async () => {
  for (const signed of [false, true]) {
    const device = await activeDevice(signed);
    const deviceId = await device.deviceId();
    const owed = await fixture.db`select item from delivery where device_id = ${deviceId} and state = 'owed'`;
    assert.ok(owed.length > 0, 'the activation owes its policy');
    const again = await activate({ account: device.account.name, password: device.account.password });
    assert.deepEqual(outcome(again), [400, 'ERR_ACTIVATION_REFUSED'], 'the password is used up');

    const commandId = newId<CommandId>();
    const query = commandRequest.deviceInformation(['DeviceName']);
    const body = serializeCommand({ commandUuid: commandId, ...query });
    await fixture.db.begin((tx) =>
      queueCommand(tx, { commandId, deviceId, requestType: query.requestType, body, urgent: false }),
    );
    const told = await device.connect({ status: 'Idle' });
    assert.equal(parseCommand(told.body).commandUuid, commandId);
    const payload = { QueryResponses: { DeviceName: 'Anna’s', OSVersion: '18.2' } };
    const done = await device.connect({ status: 'Acknowledged', commandUuid: commandId, payload });
    assert.deepEqual([done.status, done.body.length], [200, 0]);
    const [row] = await fixture.db`select options, inventory, state from device where id = ${deviceId}`;
    assert.deepEqual(
      [row?.['options'], row?.['inventory'], row?.['state']],
      [{ DeviceName: 'Anna’s' }, { DeviceName: 'Anna’s', OSVersion: '18.2' }, 'active'],
    );
    const late = await device.connect({ status: 'Acknowledged', commandUuid: newId<CommandId>() });
    assert.equal(late.status, 200, 'an answer to a command that is not there any more is taken');

    assert.equal((await device.checkin('CheckOut')).status, 200);
    assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_NOT_ENROLLED']);
    assert.deepEqual(outcome(await device.checkin('Authenticate')), [400, 'ERR_NOT_ENROLLED']);
  }
});

/** Queues so many commands for the device. */
async function queueFor(device: Awaited<ReturnType<typeof activeDevice>>, count: number): Promise<CommandId[]> {
  const deviceId = await device.deviceId();
  const ids = Array.from({ length: count }, () => newId<CommandId>());
  for (const commandId of ids) {
    const query = commandRequest.profileList();
    const body = serializeCommand({ commandUuid: commandId, ...query });
    await fixture.db.begin((tx) =>
      queueCommand(tx, { commandId, deviceId, requestType: query.requestType, body, urgent: false }),
    );
  }
  return ids;
}

test(
  'whatever an answer holds beside Status and CommandUUID, its command is settled and the next one goes out',
  limited,
  async () => {
    const device = await activeDevice();
    const chain = (ErrorCode: PlistValue) => ({
      ErrorChain: [{ ErrorCode, ErrorDomain: 'd', LocalizedDescription: 'x' }],
    });
    const odd: PlistDictionary[] = [
      chain('12021'),
      chain(12.5),
      chain(2n ** 63n),
      { ErrorChain: { ErrorCode: 1 } },
      { ErrorChain: [{ LocalizedDescription: 'x'.repeat(17 * 1024) }] },
      { ErrorChain: 'a text', UDID: 7, UserID: 7 },
      { QueryResponses: ['no', 'dictionary'], ProfileList: 'no list' },
      { Noise: Array.from({ length: 9 }, () => 'x'.repeat(10_000)) },
    ];
    const ids = await queueFor(device, odd.length);
    let told = await device.connect({ status: 'Idle' });
    for (const [index, payload] of odd.entries()) {
      const commandUuid = parseCommand(told.body).commandUuid;
      assert.equal(commandUuid, ids[index]);
      told = await device.connect({ status: 'Error', commandUuid, payload });
      assert.equal(told.status, 200, JSON.stringify(outcome(told)));
    }
    assert.equal(told.body.length, 0);
    const rows = await fixture.db`
    select state, (answer->>'truncated')::boolean as truncated from command where id = any(${ids}::uuid[]) order by sequence`;
    assert.deepEqual(
      rows.map((row) => [row['state'], row['truncated']]),
      odd.map((_, index) => ['error', index === 4 || index === 7 ? true : null]),
    );
  },
);

test(
  'a device that answers nothing that can be read is refused, until its command is given up and the next goes out',
  limited,
  async () => {
    const device = await activeDevice();
    const [first, second] = await queueFor(device, 2);
    const unreadable = [
      Buffer.from('no plist'),
      serializeConnect({ status: 'Busy' as never, udid: device.udid, commandUuid: first ?? '' }),
      serializeConnect({ status: 'Error', udid: device.udid, payload: { CommandUUID: 5 } }),
      Buffer.from(`<plist version="1.0">${'<array>'.repeat(40)}${'</array>'.repeat(40)}</plist>`),
    ];
    assert.equal(parseCommand((await device.connect({ status: 'Idle' })).body).commandUuid, first);
    for (let times = 1; times <= 9; times++) {
      const body = unreadable[times % unreadable.length] ?? Buffer.alloc(0);
      assert.equal((await device.put(device.paths.connect, aspenConnect, body)).status, 400);
    }
    const served = await device.put(device.paths.connect, aspenConnect, unreadable[0] ?? Buffer.alloc(0));
    assert.equal(served.status, 200);
    assert.equal(parseCommand(served.body).commandUuid, second);
    const [row] = await fixture.db`select state, answer from command where id = ${first ?? ''}`;
    assert.equal(row?.['state'], 'error');
    assert.match(JSON.stringify(row?.['answer']), /cannot be read/);
  },
);

test('a bootstrap token is given back to the device that left it', limited, async () => {
  const device = await activeDevice();
  await device.checkin('SetBootstrapToken', { BootstrapToken: Buffer.from('kept') });
  const given = await device.checkin('GetBootstrapToken');
  assert.match(given.body.toString(), new RegExp(Buffer.from('kept').toString('base64')));
});

test('a user channel is answered, and gets none of the device’s commands', limited, async () => {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const commandId = newId<CommandId>();
  const wanted = { commandId, deviceId, requestType: 'DeviceLock', body: Buffer.from('plist'), urgent: false };
  await fixture.db.begin((tx) => queueCommand(tx, wanted));
  const user = await device.connect({ status: 'Idle', payload: { UserID: 'anna' } });
  assert.deepEqual([user.status, user.body.length], [200, 0]);
  await device.connect({ status: 'Acknowledged', commandUuid: commandId, payload: { UserID: 'anna' } });
  assert.equal((await device.connect({ status: 'Idle' })).body.toString(), 'plist');
});

test('a certificate in a header counts only where the way that it came is trusted', limited, async () => {
  const device = await activeDevice();
  const body = bytes(serializeConnect({ status: 'Idle', udid: device.udid }));
  const headers = { 'content-type': aspenConnect, 'client-cert': serializeClientCert(device.certificateDer) };
  const untrusted = await ask(device.paths.connect, { method: 'PUT', headers, body });
  assert.deepEqual(outcome(untrusted), [400, 'ERR_IDENTITY_MISSING']);
  const trusted = await ask(device.paths.connect, { method: 'PUT', headers: { ...headers, 'x-way': 'link' }, body });
  assert.equal(trusted.status, 200);
  const other = await activeDevice();
  const both = { 'client-cert': serializeClientCert(other.certificateDer), 'x-way': 'link' };
  const two = await device.put(device.paths.connect, aspenConnect, Buffer.from(body), both);
  assert.deepEqual(outcome(two), [400, 'ERR_IDENTITY_MISMATCH']);
});

test('what a device sends wrongly is answered 400, 413 or 415', limited, async () => {
  const device = await activeDevice();
  const other = await activeDevice();
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const connect = device.paths.connect;
  const unknown = `/mdm/${'a'.repeat(43)}`;
  const wrong: [string, () => Promise<Reply>, number, string][] = [
    ['a GET', () => ask(connect, {}), 400, 'ERR_INPUT'],
    ['no plist', () => device.put(connect, aspenConnect, Buffer.from('{}')), 400, 'ERR_CONNECT_MALFORMED'],
    ['too much', () => device.put(connect, aspenConnect, Buffer.alloc(1024 * 1024 + 1)), 413, 'ERR_BODY_TOO_LARGE'],
    ['a large form', () => activate({ account: 'a'.repeat(4096) }), 413, 'ERR_BODY_TOO_LARGE'],
    [
      'a large SCEP message',
      () => ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: Buffer.alloc(64 * 1024 + 1) }),
      413,
      'ERR_BODY_TOO_LARGE',
    ],
    ['a broken signature', () => device.put(connect, aspenConnect, idle, { 'mdm-signature': 'AAAA' }), 400, ''],
    ['another’s', () => other.put(connect, aspenConnect, idle), 400, 'ERR_WRONG_IDENTITY'],
    ['another’s check-in', () => other.put(device.paths.checkin, aspenCheckin, checkOut), 400, 'ERR_WRONG_IDENTITY'],
    ['an unknown token', () => device.put(`${unknown}/connect`, aspenConnect, idle), 400, 'ERR_UNKNOWN_DEVICE'],
    ['its check-in', () => device.put(`${unknown}/checkin`, aspenCheckin, checkOut), 400, 'ERR_UNKNOWN_DEVICE'],
    ['another topic', () => device.checkin('Authenticate', { Topic: 'other' }), 400, 'ERR_CHECKIN_REFUSED'],
    ['SCEP bytes', () => ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: 'x' }), 400, ''],
    ['a SCEP operation', () => ask(`${device.scep}?operation=Other`, {}), 400, 'ERR_SCEP_OPERATION'],
    ['a form', () => activate({ account: device.account.name }), 400, 'ERR_INPUT'],
    ['a password', () => activate({ account: 'nobody', password: 'x' }), 400, 'ERR_ACTIVATION_REFUSED'],
    ['a GET of it', () => ask('/activate', {}), 405, 'ERR_METHOD'],
    ['another path', () => ask('/mdm/short/connect', { method: 'PUT', body: 'x' }), 404, 'ERR_NOT_FOUND'],
  ];
  for (const [what, send, status, code] of wrong) {
    const reply = await send();
    assert.equal(reply.status, status, `${what}: ${reply.code}`);
    if (code !== '') assert.equal(reply.code, code, what);
  }
});
const checkOut = serializeCheckin('CheckOut', { UDID: 'x' });

test('what a stranger sends is not read where reading it would take long', limited, async () => {
  const device = await activeDevice();
  const stranger = await activeDevice();
  const { connect, checkin } = device.paths;
  const unknown = `/mdm/${'a'.repeat(43)}`;
  // Whoever read it would say that it is no property list.
  const large = Buffer.alloc(100_000, 'x');
  const code = async (reply: Promise<Reply>) => (await reply).code;
  assert.equal(await code(device.put(connect, aspenConnect, large)), 'ERR_CONNECT_MALFORMED');
  assert.equal(await code(stranger.put(connect, aspenConnect, large)), 'ERR_WRONG_IDENTITY');
  assert.equal(await code(stranger.put(`${unknown}/connect`, aspenConnect, large)), 'ERR_UNKNOWN_DEVICE');
  assert.equal(await code(device.put(checkin, aspenCheckin, Buffer.from('x'))), 'ERR_CHECKIN_MALFORMED');
  assert.equal(await code(stranger.put(checkin, aspenCheckin, Buffer.from('x'))), 'ERR_WRONG_IDENTITY');
  assert.equal(await code(stranger.put(`${unknown}/checkin`, aspenCheckin, Buffer.from('x'))), 'ERR_UNKNOWN_DEVICE');
});

test('a message is served whatever content type it names, or none: the address says what it is', limited, async () => {
  const device = await activeDevice();
  const { connect, checkin } = device.paths;
  const update = serializeCheckin('TokenUpdate', {
    ...{ UDID: device.udid, Topic: device.facts.topic },
    ...{ Token: Buffer.from('token-2'), PushMagic: 'magic' },
  });
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    aspenCheckin,
    'application/xml; charset=x',
    '',
  ]) {
    const idle = serializeConnect({ status: 'Idle', udid: device.udid });
    assert.equal((await device.put(connect, type, idle)).status, 200, type);
    assert.equal((await device.put(checkin, type, update)).status, 200, type);
  }
  const form = Buffer.from('Status=Idle&UDID=x');
  const wrong = await device.put(connect, 'application/x-www-form-urlencoded', form);
  assert.deepEqual(outcome(wrong), [400, 'ERR_CONNECT_MALFORMED'], 'but it has to be one');
  const none = await ask(connect, { method: 'PUT', headers: {}, body: bytes(form) });
  assert.deepEqual(outcome(none), [400, 'ERR_IDENTITY_MISSING']);
});

test('messages that are not served have the status by which a device knows', limited, async () => {
  const device = await activeDevice();
  for (const [type, fields, status] of [
    ['UserAuthenticate', { UserID: 'anna' }, 410],
    ['DeclarativeManagement', { Endpoint: 'tokens' }, 404],
    ['GetToken', { TokenServiceType: 'com.apple.maid' }, 400],
  ] as const) {
    assert.deepEqual(outcome(await device.checkin(type, fields)), [status, 'ERR_NOT_SERVED'], type);
  }
});

test('a message that names another UDID is refused on every channel, and an event says so', limited, async () => {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const refused = [400, 'ERR_ANOTHER_ENROLMENT'];
  assert.deepEqual(outcome(await device.checkin('CheckOut', { UDID: 'another' })), refused);
  const idle = (payload: PlistDictionary) =>
    device.connect({ status: 'Idle', payload: { ...payload, UDID: 'another' } });
  assert.deepEqual(outcome(await idle({})), refused);
  assert.deepEqual(outcome(await idle({ UserID: 'anna' })), refused);
  assert.equal((await device.connect({ status: 'Idle' })).status, 200);
  const events = await fixture.eventsOf(deviceId);
  assert.deepEqual(events, ['device-names-another'], 'once, however often it comes');
});

test(
  'a suspended enrolment is served again when its key answers, with what it was not owed meanwhile',
  limited,
  async () => {
    const device = await activeDevice();
    const deviceId = await device.deviceId();
    const newcomer = await newDevice();
    assert.equal((await newcomer.checkin('Authenticate', { UDID: device.udid })).status, 200);
    const open = async () =>
      (await fixture.db`select 1 from delivery where device_id = ${deviceId} and state = 'owed'`).length;
    assert.equal(await open(), 0);
    const user = await device.connect({ status: 'Idle', payload: { UserID: 'anna' } });
    assert.deepEqual(outcome(user), [400, 'ERR_NOT_ENROLLED'], 'a user channel proves nothing that a device would');
    assert.equal((await device.connect({ status: 'Idle' })).status, 200);
    assert.ok((await open()) > 0);
    assert.deepEqual(await fixture.eventsOf(deviceId), ['device-suspended', 'device-contested']);
  },
);

test('a moved account’s device and activation are sent to the owner; a moving one comes again', limited, async () => {
  const device = await activeDevice();
  const { id, name } = device.account;
  await fixture.mark(id);
  assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [503, 'ERR_ACCOUNT_MOVING']);
  assert.deepEqual(outcome(await device.checkin('CheckOut')), [503, 'ERR_ACCOUNT_MOVING']);
  await fixture.db`delete from account_mark where account_id = ${id}`;
  await fixture.db`update account set instance_id = ${fixture.there.id}, epoch = epoch + 1 where id = ${id}`;
  const replies = [
    await device.connect({ status: 'Idle' }),
    await device.checkin('CheckOut'),
    await ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: 'x' }),
    await activate({ account: name, password: 'x' }),
  ];
  for (const reply of replies) {
    assert.deepEqual([...outcome(reply), reply.owner], [421, 'ERR_NOT_OWNER', fixture.there.srpIdentifier]);
  }
});

test('requests count for their account, and a lost database is 503 on every address', limited, async () => {
  const device = await activeDevice();
  await device.connect({ status: 'Idle' });
  await server.samples.flush(fixture.db);
  const samples = async () =>
    await fixture.db`select requests, errors from request_sample where account_id = ${device.account.id}`;
  assert.deepEqual({ ...(await samples())[0] }, { requests: 1, errors: 0 });

  const lost = openDatabase(url, { applicationName: 'lost', max: 1 });
  await lost.end();
  const broken = await startServer(fixture, lost);
  const idle = await device.connect({ status: 'Idle' }, broken.origin);
  assert.deepEqual(outcome(idle), [503, 'ERR_INTERNAL']);
  const leaving = await device.put(device.paths.checkin, aspenCheckin, checkOut, {}, broken.origin);
  assert.equal(leaving.status, 503);
  assert.equal((await activate({ account: device.account.name, password: 'x' }, broken.origin)).status, 503);
  await broken.close();
});

/** The same message by signature alone, with the certificate in TLS as the router names it, and through a proxy. */
function waysOf(device: Awaited<ReturnType<typeof newDevice>>) {
  const certificate = { 'client-cert': serializeClientCert(device.certificateDer) };
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const by = (headers: Record<string, string>, body = idle, origin?: string) =>
    device.put(device.paths.connect, aspenConnect, body, headers, origin);
  return {
    signed: (body?: Buffer, origin?: string) => by({ 'x-way': 'link' }, body, origin),
    tls: (origin?: string) => by({ 'x-way': 'link', ...certificate }, idle, origin),
    proxy: () => by({ 'x-way': 'proxy' }),
    bootstrap: (headers: Record<string, string>, origin?: string) =>
      device.put(
        device.paths.checkin,
        aspenCheckin,
        serializeCheckin('GetBootstrapToken', { UDID: device.udid }),
        headers,
        origin,
      ),
    certificate,
  };
}

test(
  'what came by signature alone and comes again is counted; Idle, and what came in TLS, is not',
  limited,
  async () => {
    const device = await activeDevice();
    const deviceId = await device.deviceId();
    await server.identityUse.flush();
    const repeats = async () => {
      await server.identityUse.flush();
      const [row] = await fixture.db`select repeats::int from device_repeat where device_id = ${deviceId}`;
      return row?.['repeats'];
    };
    const { signed, tls, bootstrap, certificate } = waysOf(device);
    for (let round = 0; round < 3; round++) {
      await signed();
      await tls();
      await bootstrap({ 'x-way': 'link', ...certificate });
    }
    assert.equal(await repeats(), 0);
    const answer = serializeConnect({ status: 'Acknowledged', udid: device.udid, commandUuid: newId<CommandId>() });
    for (let round = 0; round < 3; round++) await signed(answer);
    assert.equal(await repeats(), 2, 'within a second');
    await signed(answer);
    await bootstrap({});
    assert.equal(await repeats(), 3, 'and later');
  },
);

test('a signature of another day is served, and an event says so once', limited, async () => {
  const device = await activeDevice();
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const hour = 3_600_000;
  for (const agoMs of [0, 23 * hour, -23 * hour]) {
    assert.equal((await device.signedAt(new Date(Date.now() - agoMs), idle)).status, 200);
  }
  for (const agoMs of [25 * hour, -25 * hour, 10_000 * hour]) {
    assert.equal((await device.signedAt(new Date(Date.now() - agoMs), idle)).status, 200);
  }
  assert.deepEqual(await fixture.eventsOf(await device.deviceId()), ['device-clock-differs']);
});

test(
  'once the feature is active, TLS is required of who used it on three days, and of who wants a bootstrap token',
  limited,
  async () => {
    const device = await activeDevice();
    const deviceId = await device.deviceId();
    const { signed, tls, proxy, bootstrap, certificate } = waysOf(device);
    const usedOnTwoDays = () =>
      fixture.db`update device set tls_days = 2, tls_day = current_date - 1 where id = ${deviceId}`;
    await usedOnTwoDays();
    await tls();
    await server.identityUse.flush();
    assert.equal((await signed()).status, 200, 'the upgrade is not finalized');
    assert.equal((await bootstrap({ 'x-way': 'link' })).status, 200);

    await fixture.db`update domain set feature_level = '1.2.0'`;
    const finalized = await startServer(fixture, fixture.db);
    try {
      await usedOnTwoDays();
      await proxy();
      await finalized.identityUse.flush();
      assert.equal((await signed(undefined, finalized.origin)).status, 200, 'what a proxy saw is no day');
      assert.equal((await tls(finalized.origin)).status, 200);
      await finalized.identityUse.flush();
      const refused = [400, 'ERR_TLS_IDENTITY_REQUIRED'];
      assert.deepEqual(outcome(await signed(undefined, finalized.origin)), refused);
      const checkout = serializeCheckin('CheckOut', { UDID: device.udid });
      assert.deepEqual(outcome(await device.put(device.paths.checkin, aspenCheckin, checkout)), refused);
      assert.equal((await tls(finalized.origin)).status, 200);
      assert.equal((await proxy()).status, 200, 'a proxy that ends TLS cannot show it');

      const other = waysOf(await activeDevice());
      const token = (headers: Record<string, string>) =>
        other.bootstrap({ 'x-way': 'link', ...headers }, finalized.origin);
      assert.deepEqual(outcome(await token({})), refused);
      assert.equal((await token(other.certificate)).status, 200);
      assert.equal((await bootstrap({ 'x-way': 'link', ...certificate }, finalized.origin)).status, 200);
      assert.ok((await fixture.eventsOf(deviceId)).includes('device-without-tls'));
    } finally {
      await finalized.close();
      await fixture.db`update domain set feature_level = '1.1.0'`;
    }
  },
);

async function removed(tell: boolean) {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const command = { commandId: newId<CommandId>(), body: Buffer.from('remove the profile') };
  const remove = () => fixture.db.begin((tx) => removeDevice(tx, { deviceId, tell, command }));
  assert.equal((await remove()).kind, tell ? 'leaving' : 'ended');
  const state = async () => (await fixture.db`select state from device where id = ${deviceId}`)[0]?.['state'];
  return { device, deviceId, command, state };
}

test(
  'a device that is told to leave gets that before all else, and its enrolment ends with its answer',
  limited,
  async () => {
    for (const status of ['Acknowledged', 'Error'] as const) {
      const { device, command, state } = await removed(true);
      assert.equal((await device.connect({ status: 'Idle' })).body.toString(), 'remove the profile');
      const notNow = await device.connect({ status: 'NotNow', commandUuid: command.commandId });
      assert.deepEqual([notNow.status, await state()], [200, 'active']);
      assert.equal((await device.connect({ status, commandUuid: command.commandId })).status, 200);
      assert.equal(await state(), 'gone');
      assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [401, 'ERR_REMOVED'], 'should it come again');
      assert.deepEqual(outcome(await device.checkin('Authenticate')), [401, 'ERR_REMOVED']);
      const other = await activeDevice();
      const idle = serializeConnect({ status: 'Idle', udid: device.udid });
      const stranger = await other.put(device.paths.connect, aspenConnect, idle);
      assert.deepEqual(outcome(stranger), [400, 'ERR_WRONG_IDENTITY'], 'only its own key is told');
    }
  },
);

test('one that is removed silently is refused as any that is not enrolled, and does not leave', limited, async () => {
  const { device, state } = await removed(false);
  assert.equal(await state(), 'gone');
  assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_NOT_ENROLLED']);
  assert.deepEqual(outcome(await device.checkin('Authenticate')), [400, 'ERR_NOT_ENROLLED']);
});

test('one that enrols anew instead of leaving is told to leave', limited, async () => {
  const { device } = await removed(true);
  assert.deepEqual(outcome(await device.checkin('Authenticate')), [401, 'ERR_REMOVED']);
});

test('nothing else of all this was answered 401 or 403, which would make a device leave', limited, async () => {
  assert.ok(statuses.length > 50);
  assert.deepEqual(
    statuses.filter((status) => status === 401 || status === 403 || status === 500),
    [],
  );
});
