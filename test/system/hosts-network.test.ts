/**
 * A further host in a network of its own, which is cut, slow or lossy, and whose clock is wrong: its devices are told to come later
 * and come back by themselves, those of the other host notice nothing, and an upgrade waits and names the host.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hostOperations } from '../../src/api/hosts.ts';
import { instanceOperations } from '../../src/api/instances.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import type { JournalEntry } from '../../src/simulator/journal.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { type BuiltArchive, nextArchive } from '../harness/archives.ts';
import { type OverTwoHosts, startOverTwoHosts, untilLinked } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, takeOver } from '../harness/further-host.ts';
import { type HostNetwork, openHostNetwork, withoutNetworks } from '../harness/host-network.ts';
import { type ReachableDatabase, startReachableDatabase } from '../harness/reachable-database.ts';
import { accountsAt } from '../harness/scene.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { viewUpgrade } from '../harness/upgrade-view.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts-network', interval: '500ms' };

describe('a host in a network of its own', { timeout: 900_000, skip: withoutNetworks() }, () => {
  let network: HostNetwork;
  let database: ReachableDatabase;
  let at: OverTwoHosts;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let here: string[];
  let there: string[];
  let next: BuiltArchive;

  before(async () => {
    next = await nextArchive();
    network = await openHostNetwork();
    database = await startReachableDatabase(network.here);
    const externalDatabase = { url: database.url, outside: database.url };
    at = await startOverTwoHosts({
      ...{ externalDatabase, network, publicHost: network.here, fleet: fleetOptions },
      prepare: async (domain) => {
        await domain.api.call(instanceOperations.add, { body: { name: 'berlin-1', host: 'berlin' } });
        await untilLinked(domain, 'berlin-1');
      },
    });
    ({ domain, fleet, berlin } = at);
    const homes = await Promise.all(['server-1', 'berlin-1'].map((name) => accountsAt(domain, name)));
    [here = [], there = []] = homes;
    assert.deepEqual([here.length, there.length], [3, 3]);
  });
  after(async () => {
    await network?.mend();
    await at?.stop();
    await database?.stop();
    await network?.remove();
  });

  async function move(accounts: string[], to: string): Promise<void> {
    const { batch } = await domain.api.call(moveOperations.start, { body: { accounts, to } });
    await until(`the moves to ${to} have settled`, 120_000, async () => {
      const { open } = await domain.api.call(moveOperations.show, { params: { batch } });
      return open.length === 0;
    });
    assert.deepEqual(
      (await accountsAt(domain, to)).filter((name) => accounts.includes(name)),
      accounts,
    );
    await untilServed(domain, fleet);
  }

  /** Requests of accounts' devices that failed, of those that began after the journal had this many entries. */
  async function failures(accounts: string[], since: number): Promise<(JournalEntry & { event: 'request' })[]> {
    const { journal } = await readEvidence(fleet);
    return journal
      .slice(since)
      .filter((entry) => entry.event === 'request')
      .filter(({ account, failure }) => accounts.includes(account) && failure !== undefined && failure !== 'given-up');
  }

  async function length(): Promise<number> {
    return (await readEvidence(fleet)).journal.length;
  }

  /** Until the host is in everybody's way; then its cable is mended and everything comes back by itself. */
  async function cutAndMend(cut: () => Promise<void>, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    const since = await length();
    await cut();
    await until('a device of the host was told to come later', 90_000, async () => {
      return (await failures(there, since)).some(({ httpStatus }) => httpStatus === 503);
    });
    await untilServed(domain, fleet, 60_000, here);
    await meanwhile();
    await network.mend();
    await untilServed(domain, fleet, 120_000);
    assert.deepEqual(await failures(here, since), [], 'devices of the other host noticed');
    const seen = new Set((await failures(there, since)).map(({ failure, httpStatus }) => `${failure} ${httpStatus}`));
    // What was on its way when the host was cut off may get no answer in time.
    seen.delete('timeout undefined');
    assert.deepEqual([...seen], ['unavailable 503']);
    await assertNothingLost(domain, fleet);
  }

  async function isAtWork(): Promise<boolean> {
    const { hosts } = await domain.api.call(hostOperations.list, {});
    return hosts.find(({ name }) => name === 'berlin')?.atWork === true;
  }

  test('cut on the way to it', async () => {
    await cutAndMend(() => network.cut('to'));
  });

  test('cut on the way from it', async () => {
    await cutAndMend(() => network.cut('from'));
  });

  test('cut both ways for so long that it counts as silent, and no upgrade begins without it', async () => {
    await cutAndMend(
      () => network.cut('to', 'from'),
      async () => {
        // Most of the time after which it counts as silent passes in its row.
        await domain.sql`update supervisor set seen_at = seen_at - interval '40 seconds' where host = 'berlin'`;
        await until('the host is silent', 90_000, async () => !(await isAtWork()));
        await startUpgrade(domain, next, { instances: places });
        await until('the check of hosts names it', 60_000, async () => {
          const { checks = [] } = await domain.api.call(upgradeOperations.show, {});
          return checks.some(
            ({ name, result, message }) => name === 'hosts' && result === 'error' && /berlin/.test(message),
          );
        });
        await domain.api.call(upgradeOperations.reverse, {});
      },
    );
    await until('it is at work again', 60_000, isAtWork);
  });

  test('its cable is pulled out', async () => {
    await cutAndMend(() => network.unplug());
  });

  test('a slow and a lossy network fail nobody, and accounts move over it', async (t) => {
    t.after(() => network.mend());
    for (const [rate, queue] of [
      [512, 64_000],
      [4000, 6000],
    ] as const) {
      const since = await length();
      await network.hamper(rate, queue);
      await move(there, 'server-1');
      await move(there, 'berlin-1');
      const lost = await network.lost();
      assert.equal(lost > 0, queue === 6000, `${lost} packets were lost`);
      await network.mend();
      assert.deepEqual(await failures([...here, ...there], since), []);
    }
    await assertNothingLost(domain, fleet);
  });

  test('a clock that is an hour off, ahead or behind', async (t) => {
    t.after(() => restart({}));
    for (const [seconds, to] of [
      [3600, 'server-1'],
      [-3600, 'berlin-1'],
    ] as const) {
      const shift = join(berlin.home, 'clock.mjs');
      await writeFile(shift, shiftedClock(seconds * 1000));
      await restart({ NODE_OPTIONS: `--import=${shift}` });
      await until('the host tells how far its clock is ahead', 60_000, async () => {
        const [row] =
          await domain.sql`select (detail->>'clockAheadMs')::float8 as ahead from component where name = 'berlin-1'`;
        return Math.abs(Number(row?.['ahead']) / 1000 - seconds) < 60;
      });
      const since = await length();
      await move(there, to);
      assert.deepEqual(await failures([...here, ...there], since), []);
    }
    await assertNothingLost(domain, fleet);
  });

  test('cut in the middle of a wave: the upgrade waits, names the host, and goes on by itself', async () => {
    await startUpgrade(domain, next, {
      instances: places,
      oldInstances: 'upgrade',
      replace: true,
      wavePercentages: [100],
      soakSeconds: 1,
      // Devices that were told to come later come back later and later.
      gate: { ...openGate, patienceSeconds: 180 },
    });
    await untilUpgrade(domain, ['moving'], { timeoutMs: 280_000, enough: ({ moved }) => moved > 0 });
    const since = await length();
    await network.cut('to', 'from');
    await until('it says that it waits for the host', 120_000, async () => {
      const { waits } = await domain.api.call(upgradeOperations.show, {});
      // Where all accounts of the wave had moved by then, nothing waits for its instances but the host itself is missed.
      return /-1-\d+-\d+ on berlin to be at work; wave|supervisor of berlin has no session/.test(JSON.stringify(waits));
    });
    const stayed = await domain.sql<{ name: string }[]>`
      select a.name from account a join instance i on i.id = a.instance_id where i.name = 'server-1'`;
    const names = stayed.map(({ name }) => name);
    assert.deepEqual(await failures(names, since), [], 'whose accounts have not moved, notice nothing');
    await network.mend();
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    await domain.api.call(upgradeOperations.finalize, {});
    await until('it waits for both supervisors', 120_000, async () =>
      /^supervisors /.test((await viewUpgrade(domain)).waitingFor ?? ''),
    );
    for (const host of [domain, berlin]) await takeOver(host, next.release);
    await untilUpgrade(domain, ['done'], { timeoutMs: 280_000 });
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
  });

  async function restart(environment: NodeJS.ProcessEnv): Promise<void> {
    berlin.supervisor.kill('SIGTERM');
    await exitWithin(berlin.supervisor, 90_000, 'the supervisor');
    berlin.environment = environment;
    berlin.start();
    await untilLinked(domain, 'berlin-1');
  }
});

const places = { 'server-1': { host: 'berlin' }, 'berlin-1': { host: 'berlin' } };

/** For a process whose host's clock is this far ahead. Timers do not notice, as they do not where a clock is set. */
function shiftedClock(aheadMs: number): string {
  return `const RealDate = Date;
const now = () => RealDate.now() + (${aheadMs});
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length === 0 ? [now()] : given));
  }
  static now() {
    return now();
  }
};
`;
}
