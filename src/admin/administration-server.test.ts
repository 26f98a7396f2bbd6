import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { addressAs, readRoleCredentials } from '../database/roles/role-credentials.ts';
import { establishRoles } from '../database/roles/role-setup.ts';
import { readDomain } from '../domain/domain.ts';
import { parseCommand } from '../protocol/apple/command.ts';
import { startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

const codeOf = (body: unknown): unknown => (body as { code?: unknown }).code;

test('a request without a token is refused with ERR_TOKEN_MISSING', async () => {
  const response = await fetch(`${admin.url}/api/v1/status`);
  assert.equal(response.status, 401);
  assert.equal(response.headers.get('www-authenticate'), 'Bearer');
  assert.equal(codeOf(await response.json()), 'ERR_TOKEN_MISSING');
});

test('an unknown token and a revoked one are refused alike', async () => {
  const made = await admin.call('POST', '/tokens', { name: 'short-lived' });
  assert.equal(made.status, 201);
  const { token } = made.body as { token: string };
  const ask = async (bearer: string) => {
    const response = await fetch(`${admin.url}/api/v1/features`, { headers: { authorization: `Bearer ${bearer}` } });
    return { status: response.status, body: await response.json() };
  };
  assert.equal((await ask(token)).status, 200);
  assert.equal((await admin.call('DELETE', '/tokens/short-lived')).status, 204);
  const revoked = await ask(token);
  assert.equal(revoked.status, 401);
  assert.deepEqual(revoked, await ask(`bramble_${'x'.repeat(43)}`));
  assert.equal(codeOf(revoked.body), 'ERR_TOKEN_INVALID');
});

test('the last valid token cannot be revoked', async () => {
  const { status, body } = await admin.call('DELETE', '/tokens/first');
  assert.equal(status, 409);
  assert.equal(codeOf(body), 'ERR_CONFLICT');
});

test('a field that does not fit is named', async () => {
  const { status, body } = await admin.call('POST', '/accounts', { name: 7 });
  assert.equal(status, 400);
  assert.equal(codeOf(body), 'ERR_INPUT');
  assert.deepEqual((body as { details: unknown }).details, { field: 'body.name' });
});

test('a body that is not JSON, of another type, or too large is refused with its own code', async () => {
  const send = async (type: string, body: string) => {
    const response = await fetch(`${admin.url}/api/v1/accounts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': type },
      body,
    });
    return [response.status, codeOf(await response.json())];
  };
  assert.deepEqual(await send('application/json', '{"name":'), [400, 'ERR_INPUT']);
  assert.deepEqual(await send('text/xml', '<a/>'), [415, 'ERR_MEDIA_TYPE']);
  const large = JSON.stringify({ name: 'x'.repeat(1024 * 1024) });
  assert.deepEqual(await send('application/json', large), [413, 'ERR_BODY_TOO_LARGE']);
});

test('a key or parameter that nobody reads, and text that would be stored as another, are refused', async () => {
  const post = async (body: string | Uint8Array<ArrayBuffer>, path = '/accounts') => {
    const response = await fetch(`${admin.url}/api/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
      body,
    });
    return { status: response.status, ...((await response.json()) as { message: string }) };
  };
  const refused: [string | Uint8Array<ArrayBuffer>, RegExp, string?][] = [
    ['{"name":"eve","group":["sales"]}', /body\.group is not known here; known are name/],
    ['{"toRelease":"1.2.0","wavePercentage":[50]}', /body\.wavePercentage is not known here/, '/upgrade/plan'],
    ['{"name":"eve\\ud800"}', /half a surrogate pair/],
    [Buffer.concat([Buffer.from('{"name":"eve'), Buffer.from([0xc3]), Buffer.from('"}')]), /not UTF-8/],
    [`{"rules":${'['.repeat(100)}${']'.repeat(100)}}`, /nests deeper than 64 levels/, '/it-policies'],
    ['{"name":"eve"}', /percent sign/, '/accounts?x=%ff'],
  ];
  for (const [body, reason, path] of refused) {
    const { status, message } = await post(body, path);
    assert.equal(status, 400, message);
    assert.match(message, reason);
  }
  const unknown = await admin.call('GET', '/accounts?instanse=one');
  assert.match((unknown.body as { message: string }).message, /querystring\.instanse is not known here/);
  assert.equal((await post('\ufeff{"name":"with-a-mark"}')).status, 201);
});

test('an unknown path is 404 ERR_NOT_FOUND, with and without a token', async () => {
  assert.equal(codeOf((await admin.call('GET', '/nowhere')).body), 'ERR_NOT_FOUND');
  const response = await fetch(`${admin.url}/nowhere`);
  assert.equal(response.status, 404);
  assert.equal(codeOf(await response.json()), 'ERR_NOT_FOUND');
});

test('every route has a summary, a tag and answers described in the OpenAPI document', async () => {
  const response = await fetch(`${admin.url}/api/v1/openapi.json`);
  assert.equal(response.status, 200);
  const document = (await response.json()) as {
    paths: Record<string, Record<string, { summary?: string; tags?: string[]; responses?: object }>>;
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ route: `${method} ${path}`, operation })),
  );
  assert.ok(operations.length > 50, `only ${operations.length} operations`);
  for (const { route, operation } of operations) {
    assert.ok(operation.summary, `${route} has no summary`);
    assert.equal(operation.tags?.length, 1, `${route} has no tag`);
    assert.ok(
      Object.keys(operation.responses ?? {}).some((status) => status.startsWith('2')),
      `${route} has no answer`,
    );
  }
});

test('an account lives: created, listed by pages, given a password, moved into a group, deleted', async () => {
  const created = await admin.call('POST', '/accounts', { name: 'Ada', displayName: 'Ada L.', instance: 'two' });
  assert.equal(created.status, 201);
  assert.equal((created.body as { name: string }).name, 'ada');
  assert.equal(codeOf((await admin.call('POST', '/accounts', { name: 'ada' })).body), 'ERR_NAME_TAKEN');
  assert.equal(codeOf((await admin.call('POST', '/accounts', { name: 'bo', instance: 'nine' })).body), 'ERR_INPUT');
  await admin.call('POST', '/accounts', { name: 'bea', instance: 'one' });

  const first = await admin.call('GET', '/accounts?limit=1');
  assert.equal((first.body as { next: string }).next, 'ada');
  const second = await admin.call('GET', '/accounts?limit=1&after=ada');
  assert.deepEqual(
    (second.body as { accounts: { name: string }[] }).accounts.map((account) => account.name),
    ['bea'],
  );

  const password = await admin.call('POST', '/accounts/ada/activation-password', { validHours: 2 });
  assert.equal(password.status, 200);
  assert.match((password.body as { password: string }).password, /^[a-z0-9-]+$/);
  assert.equal((password.body as { activationUrl: string }).activationUrl, 'https://mdm.example.org:8443/activate');

  assert.equal((await admin.call('POST', '/groups', { name: 'sales', rank: 5 })).status, 201);
  assert.equal(codeOf((await admin.call('POST', '/groups', { name: 'other', rank: 5 })).body), 'ERR_RANK_TAKEN');
  assert.equal((await admin.call('PUT', '/groups/sales/members/ada')).status, 204);
  assert.equal(codeOf((await admin.call('PUT', '/groups/none/members/ada')).body), 'ERR_NOT_FOUND');
  assert.deepEqual((await admin.call('GET', '/groups/sales/members')).body, { members: ['ada'] });

  assert.equal((await admin.call('DELETE', '/accounts/ada')).status, 204);
  assert.equal((await admin.call('GET', '/accounts/ada')).status, 404);
});

test('a policy is stored with rules of this release only, and assigned to accounts and groups', async () => {
  const unknown = await admin.call('POST', '/it-policies', { name: 'strict', rules: { noSuchRule: true } });
  assert.deepEqual([unknown.status, codeOf(unknown.body)], [400, 'ERR_POLICY_RULE_UNKNOWN']);
  const made = await admin.call('POST', '/it-policies', { name: 'strict', rules: { passwordRequired: true } });
  assert.equal(made.status, 201);
  assert.equal((await admin.call('POST', '/it-policies', { name: 'strict' })).status, 409);
  await admin.call('POST', '/accounts', { name: 'cy' });
  assert.deepEqual((await admin.call('PUT', '/accounts/cy/it-policy', { policy: 'strict' })).body, {
    deliveriesOwed: 0,
  });
  assert.equal((await admin.call('PUT', '/accounts/cy/it-policy', { policy: 'absent' })).status, 404);
  const rules = (await admin.call('GET', '/it-policies/rules')).body as { rules: { name: string }[] };
  assert.ok(rules.rules.some((rule) => rule.name === 'passwordMinimumLength'));
  assert.equal((await admin.call('DELETE', '/it-policies/strict')).status, 200);
  assert.equal((await admin.call('DELETE', '/it-policies/Default')).status, 409);
});

test('rules of this release are refused, naming what holds them back, until their feature is active', async () => {
  const rules = { allowBiometricUnlock: false, passwordRequired: true };
  const locked = { status: 409, code: 'ERR_FEATURE_LOCKED', lockedBy: ['old-server', 'upgrade'] };
  const lockedAnswer = ({ status, body }: { status: number; body: unknown }) => ({
    status,
    code: codeOf(body),
    lockedBy: (body as { details: { lockedBy: unknown } }).details.lockedBy,
  });
  assert.equal((await admin.call('POST', '/it-policies', { name: 'later', rules: {} })).status, 201);
  await whileUpgrading(async () => {
    assert.deepEqual(lockedAnswer(await admin.call('POST', '/it-policies', { name: 'new', rules })), locked);
    assert.deepEqual(lockedAnswer(await admin.call('PUT', '/it-policies/later', { rules })), locked);
    assert.equal((await admin.call('PUT', '/it-policies/later', { rules: { passwordRequired: true } })).status, 200);
  });
  assert.equal((await admin.call('PUT', '/it-policies/later', { rules })).status, 200);
  const listed = (await admin.call('GET', '/it-policies/rules')).body as {
    rules: { name: string; default: unknown; feature: unknown }[];
  };
  const listedRule = listed.rules.find((rule) => rule.name === 'allowBiometricUnlock');
  assert.deepEqual([listedRule?.default, listedRule?.feature], [true, 'it-policy-rules-2']);
});

test('a connection service of several instances is refused, naming what holds it back, until sharing is active', async () => {
  const added = await admin.call('POST', '/connection-services', { name: 'mds-near', instance: 'one' });
  assert.equal(added.status, 201);
  const patch = (body: object) => admin.call('PATCH', '/connection-services/mds-near', body);
  await whileUpgrading(async () => {
    const { status, body } = await patch({ instances: ['one', 'two'] });
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
    assert.deepEqual((body as { details: { lockedBy: string[] } }).details.lockedBy, ['old-server', 'upgrade']);
    assert.match((body as { message: string }).message, /old-server, upgrade/);
    const several = { name: 'mds-both', instances: ['one', 'two'] };
    assert.equal(codeOf((await admin.call('POST', '/connection-services', several)).body), 'ERR_FEATURE_LOCKED');
    assert.equal((await patch({ instances: ['two', 'two'] })).status, 200, 'one instance is none too many');
  });
  const shared = (await patch({ instances: ['two', 'one'] })).body as { instances: string[]; instance: string };
  assert.deepEqual([shared.instances, shared.instance], [['one', 'two'], 'one']);
  assert.deepEqual(((await patch({ instance: 'two' })).body as { instances: string[] }).instances, ['two']);
  assert.equal((await patch({ instances: ['two', 'nine'] })).status, 404);
  for (const body of [{ instances: [] }, { instance: 'one', instances: ['one'] }]) {
    assert.deepEqual([(await patch(body)).status, codeOf((await patch(body)).body)], [400, 'ERR_INPUT']);
  }
  assert.equal(codeOf((await admin.call('POST', '/connection-services', { name: 'mds-of-none' })).body), 'ERR_INPUT');
});

/** The upgrade to this release is open: its feature level is the one before, and an instance of it is registered. */
async function whileUpgrading(work: () => Promise<void>): Promise<void> {
  await admin.db`update domain set feature_level = '1.0.0'`;
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('old-server', 'server', 'h', 'b', 1, '1.0.0', '{1}', '{}', now() - interval '1 minute')`;
  try {
    await work();
  } finally {
    await admin.db`update domain set feature_level = ${admin.context.release}`;
    await admin.db`delete from component where name = 'old-server'`;
  }
}

test('the budget is changed in part and refused where a value does not fit', async () => {
  const changed = await admin.call('PUT', '/budget', { perInstance: 7 });
  assert.equal((changed.body as { perInstance: number }).perInstance, 7);
  const [permits] = await admin.db<{ count: number }[]>`
    select count(*)::int as count from delivery_permit where scope in (select id::text from instance where name = 'one')`;
  assert.equal(permits?.count, 7);
  const wrong = await admin.call('PUT', '/budget', { perInstance: 0 });
  assert.deepEqual([wrong.status, codeOf(wrong.body)], [400, 'ERR_INPUT']);
  assert.equal((await admin.call('PUT', '/budget', { unknown: 1 })).status, 400);
});

test('a new instance gets an SRP credential in its place and a wanted process', async () => {
  const added = await admin.call('POST', '/instances', { name: 'three' });
  assert.equal(added.status, 201);
  const { srpIdentifier, credential } = added.body as { srpIdentifier: string; credential: unknown };
  assert.equal(credential, null);
  const file = JSON.parse(await readFile(join(admin.home, 'credentials', `${srpIdentifier}.json`), 'utf8'));
  assert.equal(file.identifier, srpIdentifier);
  assert.deepEqual(file.routers, [{ host: '127.0.0.1', port: 3101, serverName: 'router.test' }]);
  const [wanted] = await admin.db`select kind, release, state, settings from desired_process where name = 'three'`;
  assert.deepEqual(
    { ...wanted },
    { kind: 'server', release: admin.context.release, state: 'running', settings: { srpIdentifier } },
  );
  assert.equal((await admin.call('POST', '/instances', { name: 'three' })).status, 409);
  assert.equal((await admin.call('POST', '/instances', { name: 'Not Good' })).status, 400);

  const elsewhere = await admin.call('POST', '/connection-services', {
    name: 'mds-far',
    instance: 'one',
    host: 'another-host',
    allowedHosts: ['mail.example.org:993'],
  });
  assert.equal(elsewhere.status, 201);
  assert.ok((elsewhere.body as { credential: { privateKeyPem: string } }).credential.privateKeyPem);

  const list = (await admin.call('GET', `/srp-credentials?identifier=${srpIdentifier}`)).body;
  const [serial] = (list as { credentials: { serial: string }[] }).credentials.map((entry) => entry.serial);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 200);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 409);
  assert.equal((await admin.call('POST', `/srp-credentials/${srpIdentifier}/clear`)).status, 200);
  assert.equal((await admin.call('POST', '/srp-credentials', { identifier: 'S99999999' })).status, 404);
});

test('moves are queued, every skipped account is named, and a batch is paused, resumed and turned back', async () => {
  await admin.call('POST', '/accounts', { name: 'mo', instance: 'one' });
  await admin.call('POST', '/accounts', { name: 'nan', instance: 'two' });
  const started = await admin.call('POST', '/moves', { accounts: ['mo', 'nan', 'ghost'], to: 'two' });
  assert.equal(started.status, 201);
  const { batch, queued, skipped } = started.body as { batch: string; queued: number; skipped: object[] };
  assert.equal(queued, 1);
  assert.deepEqual(skipped, [
    { account: 'nan', reason: 'already-there' },
    { account: 'ghost', reason: 'not-found' },
  ]);
  const paused = await admin.call('POST', `/moves/${batch}/pause`, { reason: 'lunch' });
  assert.equal((paused.body as { pauseReason: string }).pauseReason, 'lunch');
  assert.equal((await admin.call('POST', `/moves/${batch}/pause`)).status, 409);
  assert.equal((await admin.call('POST', `/moves/${batch}/resume`)).status, 200);
  const status = (await admin.call('GET', `/moves/${batch}`)).body as { open: { account: string }[] };
  assert.deepEqual(
    status.open.map((move) => move.account),
    ['mo'],
  );
  assert.equal((await admin.call('POST', `/moves/${batch}/back`)).status, 201);
  assert.equal((await admin.call('POST', '/moves', { to: 'two' })).status, 400);
  assert.equal((await admin.call('POST', '/moves', { from: 'one', to: 'nine' })).status, 404);
});

test('a device is removed, told or silently, as often as one likes, and the list says how it stands', async () => {
  await admin.call('POST', '/accounts', { name: 'rem', instance: 'one' });
  const id = randomUUID();
  await admin.db`
    insert into device (id, account_id, token, platform, state, scep_challenge)
    select ${id}, id, 'token-rem', 'apple', 'active', 'c' from account where name = 'rem'`;
  const told = await admin.call('DELETE', `/devices/${id}`);
  const { state, commandUuid, endsAt } = told.body as { state: string; commandUuid: string; endsAt: string };
  assert.deepEqual([told.status, state], [200, 'leaving']);
  assert.ok(new Date(endsAt).getTime() > Date.now());
  assert.deepEqual((await admin.call('DELETE', `/devices/${id}`)).body, told.body, 'the same command');
  const { commands } = (await admin.call('GET', `/devices/${id}/commands`)).body as { commands: object[] };
  assert.equal(commands.length, 1);
  const [command] = await admin.db<{ body: Buffer; urgent: boolean }[]>`
    select body, urgent from command where id = ${commandUuid}`;
  const { domainId } = await readDomain(admin.db);
  assert.equal(command?.urgent, true);
  assert.equal(parseCommand(command.body).fields['Identifier'], `bramble.${domainId}.enrollment`);
  const listed = async (of: string) =>
    ((await admin.call('GET', `/devices?account=rem&state=${of}`)).body as { devices: { id: string }[] }).devices
      .length;
  assert.deepEqual([await listed('leaving'), await listed('active')], [1, 0]);
  assert.equal((await admin.call('POST', `/devices/${id}/resend`, { item: 'it-policy' })).status, 409);

  const ended = { state: 'gone', commandUuid: null, endsAt: null, toldWhenItComes: false };
  for (let round = 0; round < 2; round++) {
    assert.deepEqual((await admin.call('DELETE', `/devices/${id}?tell=false`)).body, ended);
  }
  assert.deepEqual((await admin.call('DELETE', `/devices/${id}`)).body, { ...ended, toldWhenItComes: true });
  assert.equal((await admin.call('DELETE', `/devices/${randomUUID()}`)).status, 404);
  const events = await admin.db`select 1 from event where kind = 'device-removed' and subject = ${id}`;
  assert.ok(events.length > 0);
});

test('status, features, components, deliveries, events, services and push answer', async () => {
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('one', 'server', 'h', 'b', 1, '1.0.0', '{1}', '{}', now() + interval '1 minute'),
           ('dead', 'server', 'h', 'b', 2, '1.0.0', '{1}', '{}', now() - interval '1 minute')`;
  const status = (await admin.call('GET', '/status')).body as { instances: { name: string; alive: boolean }[] };
  assert.equal(status.instances.find((instance) => instance.name === 'one')?.alive, true);
  const { features } = (await admin.call('GET', '/features')).body as {
    features: { name: string; lockedBy: string[] }[];
  };
  assert.deepEqual(features.find((feature) => feature.name === 'shared')?.lockedBy, ['dead', 'one', 'upgrade']);
  assert.equal(codeOf((await admin.call('DELETE', '/components/one')).body), 'ERR_COMPONENT_ALIVE');
  assert.equal((await admin.call('DELETE', '/components/dead')).status, 204);
  assert.equal((await admin.call('DELETE', '/components/dead')).status, 404);
  assert.equal((await admin.call('GET', '/deliveries')).status, 200);
  assert.equal((await admin.call('GET', '/events')).status, 200);
  const service = await admin.call('PUT', '/services/IPPP', { settings: { matchDomains: ['corp.example.org'] } });
  assert.equal(service.status, 200);
  assert.equal(codeOf((await admin.call('PUT', '/services/IPPP', { settings: {} })).body), 'ERR_SERVICE_SETTINGS');
  assert.equal(codeOf((await admin.call('PUT', '/services/NONE', { settings: {} })).body), 'ERR_INPUT');
  const push = await admin.call('PUT', '/push', { url: 'https://127.0.0.1:9999' });
  assert.deepEqual(push.body, {
    url: 'https://127.0.0.1:9999',
    hasOwnAuthority: false,
    hasCertificate: false,
    topic: 'com.apple.mgmt.External.test',
    topicFixed: false,
    mustEnrolAgain: 0,
  });
  assert.equal((await admin.call('PUT', '/push', { url: 'ftp://x' })).status, 400);
});

test('status names the database role that every process has, and none where an instance has its own', async () => {
  const sharedRole = async () =>
    ((await admin.call('GET', '/status')).body as { sharedDatabaseRole: string | null }).sharedDatabaseRole;
  assert.equal(await sharedRole(), null, 'one kind of process alone shares with nobody');
  const [own] = await admin.db`select session_user as name`;
  const instance = openDatabase(admin.databaseUrl, { applicationName: 'bramble/server/one@test#2', max: 1 });
  await instance`select 1`;
  assert.equal(await sharedRole(), own?.['name']);
  await instance.end();

  await establishRoles(admin.databaseUrl, admin.home);
  const credential = (await readRoleCredentials(admin.home)).get('server');
  const confined = openDatabase(addressAs(admin.databaseUrl, credential), {
    applicationName: 'bramble/server/one@test#3',
    max: 1,
  });
  await confined`select 1`;
  assert.equal(await sharedRole(), null);
  await confined.end();
});

test('an unexpected failure is ERR_INTERNAL without its text', async () => {
  await admin.db`alter table event rename to event_away`;
  try {
    const { status, body } = await admin.call('GET', '/events');
    assert.equal(status, 500);
    assert.equal(codeOf(body), 'ERR_INTERNAL');
    assert.doesNotMatch(JSON.stringify(body), /event|select|\.ts/i);
  } finally {
    await admin.db`alter table event_away rename to event`;
  }
});

test('an administration service of another release writes nothing: ERR_RELEASE_FENCED', async () => {
  await admin.db`update domain set release = '99.0.0'`;
  try {
    const { status, body } = await admin.call('POST', '/groups', { name: 'late' });
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_RELEASE_FENCED']);
    assert.equal((await admin.db`select 1 from account_group where name = 'late'`).length, 0);
  } finally {
    await admin.db`update domain set release = ${admin.context.release}`;
  }
});
