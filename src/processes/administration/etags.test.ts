/** What was shown with an ETag is not overwritten once somebody else has changed it, if the change says so. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Operation } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import type { InstanceId } from '../../base/ids.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());

const headersOf = (etag: string) => ({ 'if-match': etag });
const codeOf = (answer: { body: unknown }) => (answer.body as { code?: string } | null)?.code;

async function show(path: string, known: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${admin.url}/api/v1${path}`, {
    headers: { authorization: `Bearer ${admin.token}`, ...known },
  });
}

async function etagOf(path: string): Promise<string> {
  return (await show(path)).headers.get('etag') ?? '';
}

const [instance] = await admin.db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
const { deviceId } = await seedDevice(admin.db, instance?.id as InstanceId, 'ada');

const key = `whsec_${Buffer.alloc(32, 'k').toString('base64')}`;
/** A change of each that has an ETag; what it changes is there. */
const changes: Readonly<Record<string, readonly [path: string, body?: unknown]>> = {
  'PUT /it-policies/:name': ['/it-policies/p', { rules: { passwordRequired: true } }],
  'PUT /services/:type': ['/services/SYNC', { settings: { host: 'dav.example.org', username: '{account}' } }],
  'PATCH /connection-services/:name': ['/connection-services/mds', { allowedHosts: ['mail.example.org:993'] }],
  'PATCH /notice-targets/:name': ['/notice-targets/hook', { kinds: ['host-lost'] }],
  'PUT /notice-targets/:name/key': ['/notice-targets/hook/key', { key }],
  'PUT /mail-server': ['/mail-server', { host: '127.0.0.1', port: 25, security: 'none', sender: 'b@example.org' }],
  'PUT /budget': ['/budget', { perInstance: 11 }],
  'PUT /push': ['/push', { url: 'https://push.example.org' }],
  'PATCH /push': ['/push', { caPem: null }],
  'PUT /release-signer': ['/release-signer', { fingerprint: 'a'.repeat(64) }],
  'PUT /retention': ['/retention', { sampleDays: 20 }],
  'PATCH /openid-providers/:name': ['/openid-providers/staff', { title: 'Staff' }],
  'DELETE /openid-providers/:name': ['/openid-providers/staff'],
  'PUT /second-factor': ['/second-factor', { roles: ['security'] }],
  'DELETE /it-policies/:name': ['/it-policies/p'],
  'DELETE /groups/:name': ['/groups/sales'],
  'DELETE /services/:type': ['/services/SYNC'],
  'DELETE /notice-targets/:name': ['/notice-targets/hook'],
  'DELETE /mail-server': ['/mail-server'],
  'DELETE /release-signer': ['/release-signer'],
  'DELETE /devices/:id/tls-identity': [`/devices/${deviceId}/tls-identity`],
  'DELETE /devices/:id': [`/devices/${deviceId}?tell=false`],
  'DELETE /accounts/:name': ['/accounts/ada'],
};

async function make(): Promise<void> {
  await admin.call('POST', '/groups', { name: 'sales', rank: 7 });
  await admin.call('POST', '/it-policies', { name: 'p', rules: {} });
  await admin.call('POST', '/connection-services', { name: 'mds', instances: ['one'] });
  const hook = { channel: 'webhook', name: 'hook', url: 'https://hooks.example.org/x', key };
  await admin.call('POST', '/notice-targets', hook);
  await admin.call('POST', '/openid-providers', { name: 'staff', issuer: 'https://id.example.org', clientId: 'x' });
  await admin.db`update device set tls_days = 3, tls_required_at = now() where id = ${deviceId}`;
}

test('every change of what has an ETag is refused with another one, and carried out with its own', async () => {
  await make();
  for (const [operation, [path, body]] of Object.entries(changes)) {
    const [method = ''] = operation.split(' ');
    const stale = await admin.call(method, path, body, headersOf('"9999999"'));
    assert.deepEqual([stale.status, codeOf(stale)], [412, 'ERR_STALE'], operation);
    const answer = await admin.call(method, path, body, headersOf(await revisionOf(path)));
    assert.ok([200, 204].includes(answer.status), `${operation}: ${JSON.stringify(answer.body)}`);
  }
  const revised = Object.values(resources)
    .flatMap((operations): Operation[] => Object.values(operations))
    .filter((operation) => operation.revised && operation.method !== 'GET' && operation.status !== 201)
    .map(({ method, path }) => `${method} ${path}`);
  // It needs statements of two signers, and changes what PUT /release-signer does, by the same function.
  assert.deepEqual([...Object.keys(changes), 'POST /release-signer/rotation'].sort(), revised.sort());
});

/** Where one thing is shown by its header, of those of lists by their member. */
async function revisionOf(path: string): Promise<string> {
  const own = await etagOf(path.replace(/\/(key|tls-identity)$|\?.*/, ''));
  if (own !== '') return own;
  const [, list = '', name = ''] = path.split('/');
  const { body } = await admin.call('GET', `/${list}`);
  const [things = []] = Object.values(body as Record<string, Record<string, unknown>[]>);
  const thing = things.find((one) => one['name'] === name || one['type'] === `[${name}]`);
  return `"${String(thing?.['revision'] ?? 0)}"`;
}

test('what is deleted and made again has another ETag, and what nobody else changed keeps its own', async () => {
  await admin.call('POST', '/it-policies', { name: 'again', rules: {} });
  const first = await etagOf('/it-policies/again');
  assert.match(first, /^"\d+\.[\w-]{22}"$/);
  await admin.call('GET', '/it-policies/again');
  assert.equal(await etagOf('/it-policies/again'), first);
  assert.equal((await admin.call('DELETE', '/it-policies/again', undefined, headersOf(first))).status, 200);
  await admin.call('POST', '/it-policies', { name: 'again', rules: {} });
  assert.notEqual(await etagOf('/it-policies/again'), first);
  assert.equal(codeOf(await admin.call('DELETE', '/it-policies/again', undefined, headersOf(first))), 'ERR_STALE');
});

test('a change by another release, or by hand, has another ETag too', async () => {
  await make();
  const [policy, service] = [await etagOf('/it-policies/again'), await revisionOf('/connection-services/mds')];
  await admin.db`update it_policy set rules = '{"passwordRequired": true}' where name = 'again'`;
  await admin.db`delete from connection_service_instance`;
  assert.notEqual(await etagOf('/it-policies/again'), policy);
  assert.notEqual(await revisionOf('/connection-services/mds'), service);
});

test('of two who change the same at once, one is told', async () => {
  const etag = await etagOf('/budget');
  const answers = await Promise.all(
    [12, 13, 14].map(async (perInstance) => await admin.call('PUT', '/budget', { perInstance }, headersOf(etag))),
  );
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 412, 412]);
});

test('of several who delete a group at once, one does, and the others find none', async () => {
  await admin.call('POST', '/accounts', { name: 'barbara', instance: 'one' });
  for (let turn = 0; turn < 5; turn++) {
    await admin.call('POST', '/groups', { name: 'crew' });
    await admin.call('PUT', '/groups/crew/members/barbara');
    const answers = await Promise.all([1, 2, 3, 4].map(async () => await admin.call('DELETE', '/groups/crew')));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 404, 404, 404]);
  }
});

test('a condition that cannot hold is refused, and one that is none', async () => {
  const create = async (etag: string) => await admin.call('POST', '/accounts', { name: 'eve' }, headersOf(etag));
  assert.equal(codeOf(await create('"1"')), 'ERR_STALE');
  assert.equal(codeOf(await create('1')), 'ERR_INPUT');
  assert.equal((await admin.call('PUT', '/budget', { perInstance: 9 }, headersOf('W/"1"'))).status, 412);
  assert.equal((await admin.call('PUT', '/budget', { perInstance: 9 }, headersOf('*'))).status, 200);
});

test('what somebody has is not sent again, and what is shown otherwise is, whether it was changed or not', async () => {
  await make();
  await admin.call('POST', '/accounts', { name: 'grace', instance: 'one' });
  const { deviceId: other } = await seedDevice(admin.db, instance?.id as InstanceId, 'alan');
  const shown = ['/accounts/grace', `/devices/${other}`, '/it-policies/again', '/budget', '/push', '/retention'];
  for (const path of shown) {
    const etag = await etagOf(path);
    const again = await show(path, { 'if-none-match': `"x", W/${etag}` });
    assert.deepEqual([again.status, await again.text(), again.headers.get('etag')], [304, '', etag], path);
    assert.equal(again.headers.get('content-type'), null);
    assert.equal((await show(path, { 'if-none-match': '"x"' })).status, 200, path);
    const head = await fetch(`${admin.url}/api/v1${path}`, {
      ...{ method: 'HEAD', headers: { authorization: `Bearer ${admin.token}` } },
    });
    assert.equal(head.headers.get('etag'), etag, path);
  }
  const [account, device] = [await etagOf('/accounts/grace'), await etagOf(`/devices/${other}`)];
  await admin.db`update device set last_seen_at = now() where id = ${other}`;
  // It is shown otherwise, and nobody changed it.
  assert.equal((await show(`/devices/${other}`, { 'if-none-match': device })).status, 200);
  const removed = await admin.call('DELETE', `/devices/${other}?tell=false`, undefined, headersOf(device));
  assert.equal(removed.status, 200);
  await admin.call('PUT', '/groups/sales/members/grace');
  const stale = await admin.call('DELETE', '/accounts/grace', undefined, headersOf(account));
  assert.deepEqual([stale.status, codeOf(stale)], [412, 'ERR_STALE']);
});

test('an account that was deleted and made again has another ETag', async () => {
  await admin.call('POST', '/accounts', { name: 'edsger', instance: 'one' });
  const first = await etagOf('/accounts/edsger');
  await admin.call('DELETE', '/accounts/edsger');
  await admin.call('POST', '/accounts', { name: 'edsger', instance: 'one' });
  assert.equal(codeOf(await admin.call('DELETE', '/accounts/edsger', undefined, headersOf(first))), 'ERR_STALE');
});
