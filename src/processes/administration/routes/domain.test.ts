/** What the domain says of itself over REST, and its budget. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../../database/roles/role-credentials.ts';
import { establishRoles } from '../../../database/roles/role-setup.ts';
import { codeOf, startAdministration } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('the budget is changed in part and refused where a value does not fit', async () => {
  const changed = await admin.call('PUT', '/budget', { perInstance: 7 });
  assert.equal((changed.body as { perInstance: number }).perInstance, 7);
  const [permits] = await admin.db<{ count: number }[]>`
    select count(*)::int as count from delivery_permit where scope in (select id::text from instance where name = 'one')`;
  assert.equal(permits?.count, 7);
  const wrong = await admin.call('PUT', '/budget', { perInstance: 0 });
  assert.deepEqual([wrong.status, codeOf(wrong.body)], [400, 'ERR_INPUT']);
  const unknown = await admin.call('PUT', '/budget', { unknown: 1 });
  assert.deepEqual([unknown.status, codeOf(unknown.body)], [400, 'ERR_INPUT']);
  assert.match((unknown.body as { message: string }).message, /The budget has perInstance, /);
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
    caPem: null,
    hasCertificate: false,
    certificate: null,
    topic: 'com.apple.mgmt.External.test',
    topicFixed: false,
    mustEnrolAgain: 0,
  });
  for (const wrong of [{ url: 'ftp://x' }, { url: 5 }, { caPem: 5 }, { unknown: 1 }]) {
    const refused = await admin.call('PUT', '/push', wrong);
    assert.deepEqual([refused.status, codeOf(refused.body)], [400, 'ERR_INPUT'], JSON.stringify(wrong));
  }
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
  const confined = openDatabase(urlForRole(admin.databaseUrl, credential), {
    applicationName: 'bramble/server/one@test#3',
    max: 1,
  });
  await confined`select 1`;
  assert.equal(await sharedRole(), null);
  await confined.end();
});
