/** A domain over two hosts, each with a home and a supervisor of its own: joining, placing, moving, removing, and what is refused. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostOperations } from '../../src/api/hosts.ts';
import { instanceOperations } from '../../src/api/instances.ts';
import { masterKeyOperations } from '../../src/api/master-keys.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { until } from '../../src/testing/condition.ts';
import { type AtWork, emptyDatabase, startAtWork, untilLinked } from '../harness/at-work.ts';
import { type RunningDomain, runCommand } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, separateRoles, sharedUrl } from '../harness/further-host.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts', interval: '500ms' };
const externalDatabase = await emptyDatabase();

describe('a domain over two hosts', { timeout: 300_000 }, () => {
  let at: AtWork;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;

  before(async () => {
    at = await startAtWork({ instances: 1, externalDatabase, fleet: fleetOptions });
    ({ domain, fleet } = at);
  });
  after(async () => {
    await berlin?.stop();
    await at?.stop();
  });

  test('no host is invited while others cannot reach the database, or an invitation would contain every right', async () => {
    const local = await domain.command('host', 'invite', 'berlin');
    assert.equal(local.code, 5);
    assert.match(local.stderr, /other hosts cannot.*--database-url/s);
    const shared = await domain.command('host', 'invite', 'berlin', '--database-url', sharedUrl(domain));
    assert.equal(shared.code, 5);
    assert.match(shared.stderr, /no role for joining hosts.*database roles --sql/s);
    await separateRoles(domain);
    const named = await domain.command('host', 'invite', 'berlin', '--database-url', domain.databaseUrl);
    assert.match(named.stderr, /must not contain a user or password/);
  });

  test('an invited host joins, with the release from the database, and its home holds what it needs', async () => {
    berlin = await joinFurtherHost(domain, 'berlin');
    const { hosts } = await domain.api.call(hostOperations.list, {});
    assert.deepEqual(
      hosts.map(({ name, state, atWork }) => [name === 'berlin' ? name : 'first', state, atWork]).sort(),
      [
        ['berlin', 'joined', true],
        ['first', 'first', true],
      ],
    );
    assert.deepEqual((await readdir(join(berlin.home, 'database'))).sort(), [
      'connection.json',
      'server.json',
      'supervisor.json',
    ]);
    await until('the invitation is gone with its secrets', 60_000, async () => {
      const rows = await domain.sql`select 1 from host_invitation`;
      return rows.length === 0;
    });
  });

  test('an invitation serves once, and a damaged one or one of a removed host not at all', async () => {
    const used = await readFile(join(berlin.home, 'invitation'), 'utf8');
    const elsewhere = join(domain.home, 'elsewhere');
    const joinWith = async (invitation: string) => {
      const file = join(domain.home, 'typed-invitation');
      await writeFile(file, invitation);
      return await runCommand(['join', '--invitation', file], { ...process.env, BRAMBLE_HOME: elsewhere });
    };
    const again = await joinWith(used);
    assert.equal(again.code, 5);
    assert.match(again.stderr, /withdrawn or replaced, it expired, its host has joined/);
    assert.match((await joinWith(used.slice(0, -20))).stderr, /damaged or cut short/);
    assert.match((await joinWith('hello')).stderr, /does not begin like one/);
    const own = await berlin.command('join', '--invitation', join(berlin.home, 'invitation'));
    assert.match(own.stderr, /belongs to a domain already/);
    const twice = await domain.command('host', 'invite', 'berlin', '--database-url', sharedUrl(domain));
    assert.match(twice.stderr, /has joined already/);
  });

  test('an instance placed there gets its credential by a key of its own, and serves the accounts that move to it', async () => {
    const added = await domain.api.call(instanceOperations.add, { body: { name: 'berlin-1', host: 'berlin' } });
    assert.equal(added.credential, null);
    await untilLinked(domain, 'berlin-1');
    await domain.api.call(moveOperations.start, { body: { from: 'server-1', to: 'berlin-1' } });
    await until('all accounts have moved and settled', 120_000, async () => {
      const [row] = await domain.sql`
        select count(*) filter (where i.name = 'berlin-1')::int as moved, count(*)::int as all from account a join instance i on i.id = a.instance_id`;
      return row?.['moved'] === row?.['all'];
    });
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
  });

  test('a rotation of the master key reaches the host by itself, and its instance serves on', async () => {
    const { next } = await domain.api.call(masterKeyOperations.rotate, { body: {} });
    await until('everything is sealed by the new key', 120_000, async () => {
      const { state, keys } = await domain.api.call(masterKeyOperations.list, {});
      return state === 'settled' && keys.every(({ id, values }) => (id === next) === values > 0);
    });
    const file = JSON.parse(await readFile(join(berlin.home, 'keys', 'master.json'), 'utf8')) as { keys: object };
    assert.ok(Object.hasOwn(file.keys, next ?? ''));
    const offered = await domain.sql<{ keyId: string | null }[]>`select key_id as "keyId" from host_master_key`;
    assert.deepEqual([...offered], [{ keyId: next }], 'for a host that has nothing to run yet');
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
  });

  test('nothing new is placed on a host that is drained, or that nobody knows; one in use is not removed', async () => {
    const unknown = await domain.command('instance', 'add', 'nowhere-1', '--host', 'nowhere');
    assert.match(unknown.stderr, /There is no host "nowhere"/);
    assert.match((await domain.command('host', 'drain', 'berlin')).stdout, /Still to run there: berlin-1/);
    const drained = await domain.command('instance', 'add', 'berlin-2', '--host', 'berlin');
    assert.match(drained.stderr, /is being drained/);
    assert.match((await domain.command('host', 'remove', 'berlin', '--yes')).stderr, /berlin-1 is to run/);
  });

  test('a drained host is emptied while its devices are served, and removed', async () => {
    const drained = await domain.command('host', 'drain', 'berlin', '--to', 'server-1');
    assert.match(drained.stdout, /accounts? of berlin-1 queued in the batch/, drained.stderr);
    await until('all accounts have moved', 120_000, async () => {
      const rows = await domain.sql`
        select 1 from account a join instance i on i.id = a.instance_id where i.name = 'berlin-1'`;
      return rows.length === 0;
    });
    await assertNothingLost(domain, fleet);
    const again = await domain.command('host', 'drain', 'berlin', '--to', 'server-1');
    assert.equal(again.code, 0, `an instance without accounts has none to move: ${again.stderr}`);
    await until('it is retired', 60_000, async () => {
      return (await domain.command('instance', 'retire', 'berlin-1', '--yes')).code === 0;
    });
    const removed = await domain.command('host', 'remove', 'berlin', '--yes');
    assert.equal(removed.code, 0, removed.stderr);
    const { hosts } = await domain.api.call(hostOperations.list, {});
    assert.deepEqual(
      hosts.filter(({ name, state }) => name === 'berlin' && state === 'joined'),
      [],
    );
  });
});
