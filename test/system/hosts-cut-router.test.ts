/**
 * A host with a router is cut off while an upgrade replaces routers: the upgrade waits and names it, devices go on through the other
 * router, and what was begun goes on by itself when the host is back.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostOperations } from '../../src/api/hosts.ts';
import { routerOperations } from '../../src/api/routers.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, separateRoles } from '../harness/further-host.ts';
import { type HostNetwork, openHostNetwork, withoutNetworks } from '../harness/host-network.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { type ReachableDatabase, startReachableDatabase } from '../harness/reachable-database.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const fleetOptions = { devices: 4, accounts: 4, seed: 'hosts-cut-router', interval: '500ms' };

describe('a router in a network of its own', { timeout: 600_000, skip: withoutNetworks() }, () => {
  let network: HostNetwork;
  let database: ReachableDatabase;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let next: BuiltArchive;
  let router: { release: string; processId: number };

  before(async () => {
    const own = await workingTreeArchive();
    next = await nextArchive();
    network = await openHostNetwork();
    database = await startReachableDatabase(network.here);
    const externalDatabase = { url: database.url, outside: database.url };
    domain = await startDomain({ archive: own.file, instances: 1, externalDatabase, publicHost: network.here });
    await separateRoles(domain);
    await configureDomain(domain, '127.0.0.1:9');
    fleet = await enrolFleet(domain, { ...fleetOptions, journal: join(domain.home, 'journal.ndjson') });
    berlin = await joinFurtherHost(domain, 'berlin', { network });
    await listenEverywhere(berlin);
    await domain.api.call(routerOperations.add, {
      body: { name: 'router-2', host: 'berlin', linkHost: network.there },
    });
    await untilRouter('at-work');
  });
  after(async () => {
    await network?.mend();
    await fleet?.stop();
    await berlin?.stop();
    await domain?.stop();
    await database?.stop();
    await network?.remove();
  });

  async function listenEverywhere(host: FurtherHost): Promise<void> {
    const file = join(host.home, 'config.json');
    const configuration = JSON.parse(await readFile(file, 'utf8'));
    await host.stop({ keep: true });
    await writeFile(file, JSON.stringify({ ...configuration, listenAddress: '0.0.0.0' }));
    host.start();
  }

  const untilRouter = async (state: string) =>
    await until(`router-2 is ${state}`, 120_000, async () => {
      const { routers } = await domain.api.call(routerOperations.list, {});
      return routers.find(({ name }) => name === 'router-2')?.state === state;
    });

  /** Names and releases of the routers that are wanted, or at work. */
  const wanted = async () =>
    (
      await domain.sql`select name || ' ' || release as router from desired_process where kind = 'router' order by 1`
    ).map(({ router }) => router);

  async function nothingFailed(): Promise<void> {
    await untilServed(domain, fleet);
    const { journal } = await assertNothingLost(domain, fleet);
    const { sent } = summarizeRequests(journal);
    assert.ok(sent > 0);
    assert.deepEqual(failuresIn(journal), []);
  }

  test('an upgrade waits for its router, and devices go on through the other one', async () => {
    await startUpgrade(domain, next, { soakSeconds: 1, gate: openGate });
    await untilUpgrade(domain, ['admin-fenced', 'expanded']);
    await network.cut('to', 'from');
    await until('the upgrade waits for it', 120_000, async () => {
      const { state, waitingFor } = await domain.api.call(upgradeOperations.show, {});
      return state === 'admin-upgraded' && /router-2 on berlin/.test(JSON.stringify(waitingFor));
    });
    assert.deepEqual(await wanted(), [`router-1 ${next.release}`, `router-2 ${next.release}`]);
    await untilRouter('away');
    await until('its host is named as silent', 120_000, async () => {
      const { hosts } = await domain.api.call(hostOperations.list, {});
      return hosts.find(({ name }) => name === 'berlin')?.atWork === false;
    });
    assert.match((await domain.command('upgrade', 'status')).stdout, /router-2 on berlin/);
    await nothingFailed();
  });

  test('when it is back, its router is replaced and the upgrade goes on', async () => {
    await network.mend();
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    await untilRouter('at-work');
    const [found] = await domain.sql<(typeof router)[]>`
      select release, process_id as "processId" from component where name = 'router-2'`;
    router = found ?? router;
    assert.equal(router.release, next.release);
    await until('everybody is linked to both routers', 90_000, async () => {
      const rows = await domain.sql<{ up: number }[]>`
        select (count(*) filter (where (link ->> 'up')::boolean))::int as up
          from component, jsonb_array_elements(detail -> 'links') link
         where kind in ('server', 'connection') and stopped_at is null and lease_until > clock_timestamp() group by name`;
      return rows.length > 0 && rows.every(({ up }) => up === 2);
    });
    await nothingFailed();
  });

  test('a router whose host does not come back can be given up, and ends when it does', async () => {
    await network.cut('to', 'from');
    await untilRouter('away');
    const removed = await domain.command('router', 'remove', 'router-2', '--yes');
    assert.equal(removed.code, 0, removed.stderr);
    await network.mend();
    const { processId } = router;
    await until('it has ended', 120_000, () => !existsSync(`/proc/${processId}`));
    assert.equal((await domain.sql`select 1 from component where name = 'router-2'`).length, 0);
    await nothingFailed();
  });
});
