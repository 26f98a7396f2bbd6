/** Accounts, their groups and their moves over REST. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type InstanceId, newId } from '../../../base/ids.ts';
import { runBramble } from '../../../cli/command-line-fixture.ts';
import { seedDevice } from '../../../devices/device-fixture.ts';
import { codeOf, startAdministration } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('an account lives: created, listed by pages, given a password, moved into a group, deleted', async () => {
  const created = await admin.call('POST', '/accounts', { name: 'Ada', displayName: 'Ada L.', instance: 'two' });
  assert.equal(created.status, 201);
  assert.equal((created.body as { name: string }).name, 'ada');
  assert.equal(codeOf((await admin.call('POST', '/accounts', { name: 'ada' })).body), 'ERR_NAME_TAKEN');
  assert.equal(codeOf((await admin.call('POST', '/accounts', { name: 'bo', instance: 'nine' })).body), 'ERR_INPUT');
  await admin.call('POST', '/accounts', { name: 'bea', instance: 'one' });

  const first = await admin.call('GET', '/accounts?limit=1');
  const { next } = first.body as { next: string };
  const second = await admin.call('GET', `/accounts?limit=1&after=${next}`);
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
  assert.deepEqual((await admin.call('GET', '/groups/sales/members')).body, { members: ['ada'], next: null });

  assert.equal((await admin.call('DELETE', '/accounts/ada')).status, 204);
  assert.equal((await admin.call('GET', '/accounts/ada')).status, 404);
});

test('names of dots alone are refused, and what 1.1 named so is still managed', async () => {
  const ndjson = { authorization: `Bearer ${admin.token}`, 'content-type': 'application/x-ndjson' };
  for (const dots of ['.', '..', ' .. ', '....']) {
    for (const [path, body] of [
      ['/accounts', { name: dots }],
      ['/groups', { name: dots }],
      ['/it-policies', { name: dots }],
      ['/instances', { name: dots }],
      ['/connection-services', { name: dots, instances: ['one'] }],
      ['/tokens', { name: dots }],
    ] as const) {
      assert.equal((await admin.call('POST', path, body)).status, 400, `${path} ${dots}`);
    }
    const imported = await fetch(`${admin.url}/api/v1/accounts/import`, {
      method: 'POST',
      headers: ndjson,
      body: JSON.stringify({ name: dots }),
    });
    assert.equal(imported.status, 400);
  }
  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  for (const dots of ['.', '..']) {
    await admin.db`
      insert into account (id, name, display_name, instance_id)
      values (${newId()}, ${dots}, ${dots}, ${instance?.id ?? ''})`;
    await admin.db`insert into account_group (id, name, rank) values (${newId()}, ${dots}, ${100 + dots.length})`;
    for (const argv of [
      ['group', 'add', dots, dots],
      ['account', 'password', dots],
      ['group', 'policy', dots, 'Default'],
      ['group', 'members', dots],
      ['account', 'delete', dots, '--yes'],
    ]) {
      const { code, errors } = await runBramble(admin, argv);
      assert.equal(code, 0, `${argv.join(' ')}: ${errors}`);
    }
  }
});

test('what does not exist, or changes nothing, is refused by name', async () => {
  const refused = async (method: string, path: string, status: number, says: RegExp, body?: object) => {
    const answer = await admin.call(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}`);
    assert.match((answer.body as { message: string }).message, says);
  };
  await admin.call('POST', '/accounts', { name: 'stays', instance: 'one' });
  await admin.call('POST', '/groups', { name: 'outside' });
  const batches = async () => ((await admin.call('GET', '/moves')).body as { batches: object[] }).batches.length;
  const before = await batches();
  await refused('POST', '/moves', 404, /"ghost", "spook"/, { accounts: ['ghost', 'spook'], to: 'two' });
  await refused('POST', '/moves', 400, /of one are already there/, { from: 'one', to: 'one' });
  await refused('POST', '/moves', 409, /stays \(already-there\)/, { accounts: ['stays'], to: 'one' });
  await refused('POST', '/moves', 409, /no accounts to move/, { group: 'outside', to: 'one' });
  assert.equal(await batches(), before);
  await refused('DELETE', '/groups/outside/members/stays', 404, /not a member of the group outside/);
  await refused('GET', '/accounts?group=nosuch', 404, /group "nosuch"/);
  await refused('GET', '/accounts?instance=nosuch', 404, /instance "nosuch"/);
  await refused('GET', '/devices?account=nosuch', 404, /account "nosuch"/);
});

test('a deleted group takes its policy with it, and its members stay', async () => {
  await admin.call('POST', '/accounts', { name: 'member', instance: 'one' });
  await admin.call('POST', '/groups', { name: 'closing' });
  await admin.call('PUT', '/groups/closing/members/member');
  await admin.call('PUT', '/groups/closing/it-policy', { policy: 'Default' });
  const [instance] = await admin.db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
  const { deviceId } = await seedDevice(admin.db, instance?.id as InstanceId, 'with-device');
  await admin.call('PUT', '/groups/closing/members/with-device');
  await admin.db`delete from delivery where device_id = ${deviceId}`;
  const asked = await runBramble(admin, ['group', 'delete', 'closing']);
  assert.match(asked.errors, /Its 2 accounts will stay; its IT policy will no longer apply to them\./);
  await admin.call('DELETE', '/groups/closing/members/with-device');
  assert.match((await runBramble(admin, ['group', 'delete', 'closing'])).errors, /Its 1 account stays; .* to it\./);
  await admin.call('PUT', '/groups/closing/members/with-device');
  await admin.db`delete from delivery where device_id = ${deviceId}`;
  const deleted = await runBramble(admin, ['--json', 'group', 'delete', 'closing', '--yes']);
  assert.deepEqual(JSON.parse(deleted.output), { members: 2, deliveriesOwed: 1 });
  assert.equal((await admin.call('GET', '/groups/closing/members')).status, 404);
  assert.deepEqual(((await admin.call('GET', '/accounts/member')).body as { groups: string[] }).groups, []);
  // Released by another instance before the account moved here: an open delivery is where its account is.
  await admin.db`
    update delivery set state = 'released', instance_id = (select id from instance where name = 'two')
     where device_id = ${deviceId}`;
  const listed = await runBramble(admin, ['deliveries']);
  assert.match(listed.output, new RegExp(`with-device +${deviceId} +- +it-policy .* released +one `));
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
  const twice = await admin.call('POST', `/moves/${batch}/pause`);
  assert.equal(twice.status, 409);
  assert.match(JSON.stringify(twice.body), RegExp(`paused now\\. .bramble move resume ${batch}.*bramble move back`));
  assert.equal((await admin.call('POST', `/moves/${batch}/resume`)).status, 200);
  const status = (await admin.call('GET', `/moves/${batch}`)).body as { open: { account: string }[] };
  assert.deepEqual(
    status.open.map((move) => move.account),
    ['mo'],
  );
  assert.equal((await admin.call('POST', `/moves/${batch}/back`)).status, 201);
  const batches = async () => (await admin.db`select 1 from move_batch`).length;
  const before = await batches();
  const again = await admin.call('POST', `/moves/${batch}/back`);
  assert.deepEqual([again.status, codeOf(again.body)], [409, 'ERR_MOVE_STATE']);
  assert.match(JSON.stringify(again.body), /No account of this batch is still where it moved it\./);
  assert.equal(await batches(), before, 'an empty batch is not queued');
  assert.equal((await admin.call('POST', '/moves', { to: 'two' })).status, 400);
  assert.equal((await admin.call('POST', '/moves', { from: 'one', to: 'nine' })).status, 404);
});

test('what an open upgrade would undo is not moved, nor its batches turned back, and the command says what to do', async () => {
  await admin.call('POST', '/accounts', { name: 'assigned', instance: 'one' });
  await admin.call('POST', '/accounts', { name: 'free', instance: 'one' });
  const instances = await admin.db<
    { id: string }[]
  >`select id from instance where name in ('one', 'two') order by name`;
  const [one, two] = instances.map(({ id }) => id);
  assert.ok(one && two);
  const made = { name: 'one', instanceId: one, replaces: 'two', replacesId: two, processes: ['one'] };
  const upgrade = newId<string>();
  const batch = newId<string>();
  await admin.db`
    insert into upgrade (id, from_release, to_release, state, plan, progress)
    values (${upgrade}, '1.2.0', '1.3.0', 'moving', '{"options": {}, "instances": []}', ${admin.db.json({ newInstances: [made] })})`;
  await admin.db`insert into upgrade_wave (upgrade_id, number, name, state) values (${upgrade}, 1, 'canary', 'passed')`;
  await admin.db`
    insert into upgrade_assignment (upgrade_id, account_id, wave_number, from_instance_id, to_instance_id)
    select ${upgrade}, id, 1, ${two}, ${one} from account where name = 'assigned'`;
  await admin.db`
    insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
    values (${batch}, 'wave', ${upgrade}, 1, 'running', 'coordinator')`;
  try {
    const alone = await admin.call('POST', '/moves', { accounts: ['assigned'], to: 'two' });
    assert.equal(alone.status, 409);
    const { message } = alone.body as { message: string };
    assert.match(
      message,
      /assigned \(assigned-by-upgrade; the upgrade has assigned it to one .*`bramble upgrade reverse`/,
    );
    const both = await runBramble(admin, ['move', 'start', '--account', 'assigned', 'free', '--to', 'two']);
    assert.match(both.output, /1 account is queued/);
    assert.match(both.output, /assigned +assigned-by-upgrade: .*`bramble upgrade reverse`/);
    const assigned = await runBramble(admin, ['account', 'assign', 'assigned', 'one', '--wave', '9']);
    assert.match(assigned.errors, /There is no wave 9\. The waves are: 1/);
    assert.equal((await runBramble(admin, ['account', 'assign', 'assigned', 'one', '--wave', '1'])).code, 0);
    const back = await admin.call('POST', `/moves/${batch}/back`);
    assert.deepEqual([back.status, codeOf(back.body)], [409, 'ERR_MOVE_STATE']);
  } finally {
    await admin.db`delete from move_batch where id = ${batch}`;
    for (const table of ['upgrade_assignment', 'upgrade_wave', 'upgrade_event', 'upgrade'])
      await admin.db`delete from ${admin.db(table)}`;
  }
});
