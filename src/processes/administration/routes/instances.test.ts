/** Server instances and connection services over REST. */
import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '../../../testing/condition.ts';
import { codeOf, startAdministration, whileUpgrading } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('a connection service of several instances is refused, naming what holds it back, until sharing is active', async () => {
  const added = await admin.call('POST', '/connection-services', { name: 'mds-near', instance: 'one' });
  assert.equal(added.status, 201);
  const patch = (body: object) => admin.call('PATCH', '/connection-services/mds-near', body);
  await whileUpgrading(admin, async () => {
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

  const far = { name: 'mds-far', instance: 'one', host: 'another-host', allowedHosts: ['mail.example.org:993'] };
  assert.equal((await admin.call('POST', '/connection-services', far)).status, 404, 'nobody knows that host');
  await admin.db`
    insert into supervisor (host, release, process_id, node_version, postgres_server)
    values ('another-host', '1.3.0', 1, 'v26', '18')`;
  const elsewhere = await admin.call('POST', '/connection-services', far);
  assert.equal(elsewhere.status, 201);
  assert.ok((elsewhere.body as { credential: { privateKeyPem: string } }).credential.privateKeyPem);

  const list = (await admin.call('GET', `/srp-credentials?identifier=${srpIdentifier}`)).body;
  const [serial] = (list as { credentials: { serial: string }[] }).credentials.map((entry) => entry.serial);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 200);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 409);
  assert.equal((await admin.call('POST', `/srp-credentials/${srpIdentifier}/clear`)).status, 200);
  assert.equal((await admin.call('POST', '/srp-credentials', { identifier: 'S99999999' })).status, 404);
});

test('an instance that serves nobody is retired with its process, credential and connection service', async () => {
  const { srpIdentifier } = (await admin.call('POST', '/instances', { name: 'five' })).body as {
    srpIdentifier: string;
  };
  await admin.call('POST', '/connection-services', { name: 'mds-five', instance: 'five' });
  await admin.call('POST', '/connection-services', { name: 'mds-shared', instances: ['five', 'one'] });
  const retire = async (name = 'five') => await admin.call('POST', `/instances/${name}/retire`);
  const refused = async (message: RegExp) => {
    const { status, body } = await retire();
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_INSTANCE_IN_USE']);
    assert.match((body as { message: string }).message, message);
    assert.equal((await admin.db`select 1 from desired_process where name = 'five'`).length, 1);
  };

  assert.equal((await admin.call('POST', '/accounts', { name: 'here', instance: 'five' })).status, 201);
  await refused(/it serves 1 account\. Move them first: `bramble move start --from five --to one`/);
  await admin.db`update account set instance_id = (select id from instance where name = 'one') where name = 'here'`;
  const batch = (await admin.call('POST', '/moves', { accounts: ['here'], to: 'five' })).body as { batch: string };
  await refused(/1 account is on the way to it/);
  await admin.call('POST', `/moves/${batch.batch}/back`);
  // With an account at it: an upgrade that needs the instance is named first, and what is advised leaves it alone.
  const place = (name: string) =>
    admin.db`update account set instance_id = (select id from instance where name = ${name}) where name = 'here'`;
  await place('five');
  for (const [state, pausedFrom, instance, why] of [
    ['planned', null, { name: 'five', replaces: 'one' }, /the open upgrade has assigned accounts to it/],
    ['planned', null, { name: 'other', replaces: 'five' }, /needs it in case it is reversed/],
    [
      'paused',
      'moving',
      { name: 'five', replaces: 'one' },
      /assigned accounts to it.*Finalize or reverse the upgrade first\.$/,
    ],
    [
      'finalizing',
      null,
      { name: 'five', replaces: 'one' },
      /takes over the accounts permanently\. Wait until it is done/,
    ],
    [
      'finalizing',
      null,
      { name: 'other', replaces: 'five' },
      /moves its accounts away and replaces it\. Wait until it/,
    ],
    [
      'paused',
      'reversing',
      { name: 'five', replaces: 'one' },
      /moves its accounts back and removes it\. Wait until it/,
    ],
    ['reversing', null, { name: 'other', replaces: 'five' }, /accounts back to it\. Wait until it is reversed/],
  ] as const) {
    const plan = { options: {}, instances: [{ ...instance, host: 'test-host' }] };
    await admin.db`
      insert into upgrade (id, from_release, to_release, state, paused_from, plan)
      values (gen_random_uuid(), '1.2.0', '1.3.0', ${state}, ${pausedFrom}, ${admin.db.json(plan)})`;
    await refused(why);
    await admin.db`delete from upgrade`;
  }
  await place('one');

  assert.deepEqual((await retire(srpIdentifier)).body, {
    ...{ name: 'five', srpIdentifier, connectionServices: ['mds-five'] },
  });
  assert.equal((await admin.db`select 1 from desired_process where name in ('five', 'mds-five')`).length, 0);
  const unrevoked =
    await admin.db`select 1 from srp_credential where identifier = ${srpIdentifier} and revoked_at is null`;
  assert.equal(unrevoked.length, 0);
  await assert.rejects(access(join(admin.home, 'credentials', `${srpIdentifier}.json`)), { code: 'ENOENT' });
  const services = (await admin.call('GET', '/connection-services')).body as {
    connectionServices: { name: string; instances: string[] }[];
  };
  assert.deepEqual(services.connectionServices.find(({ name }) => name === 'mds-shared')?.instances, ['one']);
  assert.ok(!services.connectionServices.some(({ name }) => name === 'mds-five'));
  assert.equal((await retire()).status, 200, 'said again, it is retired');
  assert.equal((await retire('nine')).status, 404);
  assert.equal((await admin.call('POST', '/moves', { accounts: ['here'], to: 'five' })).status, 404);
});

test('the last instance is not retired, nor are the last two at once, and nobody is moved back to a retired one', async () => {
  await admin.call('POST', '/instances', { name: 'six' });
  await admin.call('POST', '/accounts', { name: 'mover', instance: 'six' });
  const { batch } = (await admin.call('POST', '/moves', { accounts: ['mover'], to: 'one' })).body as { batch: string };
  await admin.db`update account set instance_id = (select id from instance where name = 'one') where name = 'mover'`;
  await admin.db`update account_move set state = 'closed', closed_at = now() where batch_id = ${batch}`;
  assert.equal((await admin.call('POST', '/instances/six/retire')).status, 200);
  const back = (await admin.call('POST', `/moves/${batch}/back`)).body as { queued: number; skipped: object[] };
  assert.deepEqual([back.queued, back.skipped], [0, [{ account: 'mover', reason: 'instance-retired' }]]);
  const { events } = (await admin.call('GET', '/events')).body as { events: { kind: string; message: string }[] };
  assert.ok(
    events.some(({ kind, message }) => kind === 'move-started' && /first moves 1 account to one/.test(message)),
  );
  assert.ok(events.some(({ kind }) => kind === 'instance-retired'));

  await admin.db`delete from account`;
  assert.equal((await admin.call('POST', '/instances/three/retire')).status, 200);
  const names = ['one', 'two'];
  const both = await admin.db.begin(async (tx) => {
    await tx`select from instance where name = any(${names}) for share`;
    const answers = Promise.all(names.map((name) => admin.call('POST', `/instances/${name}/retire`)));
    await until('both have begun', 60_000, async () => {
      const waiting = await admin.db`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return waiting.length === 2;
    });
    return { answers };
  });
  const answers = (await both.answers).toSorted((a, b) => a.status - b.status);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 409],
  );
  assert.match(JSON.stringify(answers[1]?.body), /it is the last instance/);
});
