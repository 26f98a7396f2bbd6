/**
 * A domain over two hosts is lost with both computers and made again of a backup on a third one: the other host is named there, joins by
 * a new invitation, and the devices of both are served as before, with nothing done twice.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostOperations } from '../../src/api/hosts.ts';
import { instanceOperations } from '../../src/api/instances.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { installArchive } from '../../src/release/archive.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { emptyDatabase, startOverTwoHosts, untilLinked } from '../harness/at-work.ts';
import { type RunningDomain, runCommand, startDomain } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, makeRoles } from '../harness/further-host.ts';
import { accountsAt, activeDevices, commandJson, queue } from '../harness/scene.ts';

const [former, again] = [await emptyDatabase(), await emptyDatabase()];

describe('a domain over two hosts, made again of a backup', { timeout: 420_000 }, () => {
  let folder: string;
  let formerHome: string;
  let formerAddress: string;
  let domain: RunningDomain;
  let berlin: FurtherHost;
  let fleet: RunningFleet;
  let file: string;
  let secret: readonly string[];
  let moved: string[];
  const commands: string[] = [];

  const hostStates = async () => {
    const { hosts } = await domain.api.call(hostOperations.list, {});
    return Object.fromEntries(hosts.map(({ name, state }) => [name === 'berlin' ? name : 'own', state]));
  };
  const queueForAll = async () => {
    const accounts = [...(await accountsAt(domain, 'server-1')), ...(await accountsAt(domain, 'berlin-1'))];
    for (const { id } of await activeDevices(domain, accounts)) commands.push(await queue(domain, id));
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-hosts-restored-'));
    secret = ['--passphrase-file', join(folder, 'passphrase')];
    await writeFile(join(folder, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    const fleetOptions = { devices: 6, accounts: 6, seed: 'restored', interval: '500ms' };
    ({ domain, berlin, fleet } = await startOverTwoHosts({ externalDatabase: former, fleet: fleetOptions }));
    formerHome = domain.home;
    await domain.api.call(instanceOperations.add, { body: { name: 'berlin-1', host: 'berlin' } });
    await untilLinked(domain, 'berlin-1');
  });
  after(async () => {
    await fleet?.stop();
    await berlin?.stop();
    await domain?.stop();
    for (const path of [folder, formerHome]) await rm(path, { recursive: true, force: true });
  });

  test('a backup is made while both hosts serve devices', async () => {
    moved = (await accountsAt(domain, 'server-1')).slice(0, 3);
    await domain.api.call(moveOperations.start, { body: { accounts: moved, to: 'berlin-1' } });
    await until('the accounts have moved', 120_000, async () => (await accountsAt(domain, 'berlin-1')).length === 3);
    await queueForAll();
    await assertNothingLost(domain, fleet, { enqueued: commands });
    const [service] = await domain.sql`select loopback_url as url from component where kind = 'administration'`;
    formerAddress = String(service?.['url']);
    ({ file } = await commandJson<{ file: string }>(domain, 'backup', 'create', '--to', folder, ...secret));
  });

  test('on a new computer it starts paused, and names the host that has to join again', async () => {
    await berlin.stop();
    // The fleet's journal is in its home.
    await domain.stop({ keep: true });
    const home = join(folder, 'again');
    const { file: archive } = await workingTreeArchive();
    await installArchive(archive, { home });
    const args = ['backup', 'restore', '--yes', file, '--database-url', again.url, ...secret];
    const made = await runCommand(args, { ...process.env, BRAMBLE_HOME: home });
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /berlin: stop the supervisor there.*`bramble host invite`/s);
    domain = await startDomain({ archive, home, externalDatabase: again, beforeStart: makeRoles });
    // The services of the backup have a lease for some seconds yet, under addresses where nobody listens.
    await until('its own administration service is at work', 60_000, async () => {
      const alive = await domain.sql`
        select from component where kind = 'administration' and lease_until > clock_timestamp() and stopped_at is null
           and loopback_url <> ${formerAddress}`;
      return alive.length === 1;
    });
    assert.deepEqual(await hostStates(), { own: 'first', berlin: 'awaited' });
    assert.match(
      (await domain.command('host', 'list')).stdout,
      /berlin +has to join again: `bramble host invite`.*berlin-1/,
    );
  });

  test('that host joins by a new invitation, and what was placed there gets a credential of its own', async () => {
    berlin = await joinFurtherHost(domain, 'berlin');
    assert.deepEqual(await hostStates(), { own: 'first', berlin: 'joined' });
    const resumed = await commandJson<{ started: string[] }>(domain, 'backup', 'resume');
    assert.ok(resumed.started.includes('berlin-1') && resumed.started.includes('server-1'), resumed.started.join());
    await untilLinked(domain, 'server-1', 'berlin-1');
  });

  test('the devices of both hosts are served, what was done before is not done again, and nothing is there twice', async () => {
    await untilServed(domain, fleet);
    assert.deepEqual(await accountsAt(domain, 'berlin-1'), [...moved].sort());
    await queueForAll();
    assert.equal(commands.length, 12);
    await assertNothingLost(domain, fleet, { enqueued: commands });
    const twice = await domain.sql<{ what: string }[]>`
      select 'at work: ' || name as what from component
       where stopped_at is null and lease_until > clock_timestamp() group by name having count(*) > 1
      union all
      select 'valid credentials: ' || identifier from srp_credential where revoked_at is null group by identifier having count(*) > 1
      union all
      select 'active devices: ' || udid from device where state = 'active' group by udid having count(*) > 1`;
    assert.deepEqual([...twice], []);
    const placed = await domain.sql`select name, host from desired_process where host = 'berlin'`;
    assert.deepEqual(
      placed.map(({ name }) => name),
      ['berlin-1'],
    );
  });
});
