/**
 * Upgrades in place of a domain with two routers and an instance behind each, over two hosts and one address for devices: a patch
 * forward and back, the supervisor of one host and the coordinator killed meanwhile, and a minor release through to its end. A
 * fleet is at work over both routers, and tunnels are open through both: no request fails, and no tunnel breaks that is not
 * open for longer than a drain lasts. What is, is ended, and counted.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { freePort } from '../../src/setup/free-port.ts';
import { summarizeTunnels } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { type BuiltArchive, patchedArchive, workingTreeArchive } from '../harness/archives.ts';
import { emptyDatabase, type OverTwoHosts, startOverTwoHosts } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { type Entrance, openEntrance } from '../harness/entrance.ts';
import { assertNothingLost, failuresIn, readEvidence, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, takeOver } from '../harness/further-host.ts';
import { accountsAt } from '../harness/scene.ts';
import { openGate, startCoordinatorKiller, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { viewUpgrade } from '../harness/upgrade-view.ts';
import { startInternalHost, startWorkload, type Workload } from '../harness/workload.ts';

const externalDatabase = await emptyDatabase();
const fleetOptions = { devices: 12, accounts: 10, seed: 'in-place-routers', interval: '600ms' };
/** Of two instances, each is a wave of its own. */
const options = { soakSeconds: 2, gate: { leastRequests: 5, baselineHours: 1, patienceSeconds: 120 } };
const loopback = '127.0.0.1';
interface Address {
  host: string;
  port: number;
}

/** The first router listens at another port and leaves the domain’s address to a balancer. */
async function listenElsewhere(home: string): Promise<{ left: Address; first: Address }> {
  const file = join(home, 'config.json');
  const configuration = JSON.parse(await readFile(file, 'utf8')) as { publicPort: number };
  const port = await freePort(0, loopback);
  await writeFile(file, JSON.stringify({ ...configuration, publicPort: port }));
  return { left: { host: loopback, port: configuration.publicPort }, first: { host: loopback, port } };
}

const kinds = ['connection', 'router', 'server'];

describe('in place over two routers on two hosts', { timeout: 880_000 }, () => {
  let own: BuiltArchive;
  let later: (patch: number, minor?: number) => string;
  let at: OverTwoHosts;
  let domain: RunningDomain;
  let berlin: FurtherHost;
  let entrance: Entrance;
  let fleet: RunningFleet;
  let workload: Workload;
  let internal: Awaited<ReturnType<typeof startInternalHost>>;

  before(async () => {
    own = await workingTreeArchive();
    const [major = 0, minor = 0, patch = 0] = own.release.split('.').map(Number);
    later = (further, minors = 0) => `${major}.${minor + minors}.${minors === 0 ? patch + further : further}`;
    internal = await startInternalHost();
    const behind: Address[] = [];
    at = await startOverTwoHosts({
      ...{ externalDatabase, fleet: fleetOptions, internalTarget: internal.target },
      beforeStart: async ({ home }) => {
        const { left, first } = await listenElsewhere(home);
        behind.push(first);
        entrance = await openEntrance(left, behind);
      },
      prepare: async (prepared) => {
        domain = prepared;
        await succeeds('router', 'add', 'router-2', '--host', 'berlin', '--link-host', loopback);
        await succeeds('instance', 'add', 'berlin-1', '--host', 'berlin');
        await succeeds('connection-service', 'add', 'connection-2', '--instances', 'berlin-1', '--host', 'berlin');
        await untilLinkedToBoth();
        const [second] = await domain.sql<{ port: number }[]>`
          select public_port as port from router where name = 'router-2'`;
        behind.push({ host: loopback, port: second?.port ?? 0 });
      },
    });
    ({ fleet, berlin } = at);
    workload = startWorkload(domain, fleet, internal.target, { commandIntervalMs: 500, tunnels: 12, tunnelMs: 2000 });
  });
  after(async () => {
    await workload?.stop();
    await at?.stop();
    await entrance?.close();
    internal?.server.close();
  });

  async function succeeds(...args: string[]): Promise<void> {
    const { code, stderr } = await domain.command(...args);
    assert.equal(code, 0, `bramble ${args.join(' ')}: ${stderr}`);
  }

  /** Every instance and connection service has a link to each router. */
  async function untilLinkedToBoth(): Promise<void> {
    await until('everybody is linked to both routers', 90_000, async () => {
      const rows = await domain.sql<{ up: number }[]>`
        select (select count(*)::int from jsonb_array_elements(c.detail -> 'links') l where (l ->> 'up')::boolean) as up
          from component c where c.kind in ('server', 'connection') and c.stopped_at is null and c.lease_until > clock_timestamp()`;
      return rows.length >= 4 && rows.every(({ up }) => up === 2);
    });
  }

  const now = async () => (await domain.sql<{ now: Date }[]>`select clock_timestamp() as now`)[0]?.now ?? new Date();
  const journal = async () => (await readEvidence(fleet)).journal;

  /** Nothing that `work` does is noticed by a device; both routers have served meanwhile, tunnels too. */
  async function unnoticed(work: () => Promise<void>): Promise<void> {
    const before = (await journal()).length;
    const begun = await now();
    const through = watchTunnels();
    await work();
    await untilServed(domain, fleet);
    const ended = await now();
    assert.deepEqual(await through.stop(), ['router-1', 'router-2'], 'tunnels were open through both');
    const entries = (await journal()).slice(before);
    assert.deepEqual(failuresIn(entries), []);
    const { opened, refused, breaks } = summarizeTunnels(entries);
    assert.deepEqual({ refused, breaks }, { refused: 0, breaks: [] });
    assert(opened > 20, `${opened} tunnels`);
    await until('both routers have reported requests of this time', 60_000, async () => {
      const routers = await domain.sql`
        select distinct router from request_outcome
         where bucket between ${begun} - interval '10 seconds' and ${ended} and router in ('router-1', 'router-2')`;
      return routers.length === 2;
    });
  }

  /** Which routers had tunnels open, whenever it was looked. */
  function watchTunnels() {
    const seen = new Set<string>();
    const ending = new AbortController();
    const looking = (async () => {
      while (!ending.signal.aborted) {
        const rows = await domain.sql<{ name: string }[]>`
          select name from component where kind = 'router' and (detail ->> 'tunnelsOpen')::int > 0`;
        for (const { name } of rows) seen.add(name);
        await delay(200);
      }
    })();
    return {
      stop: async () => {
        await until('tunnels are open through both', 60_000, () => seen.size === 2).catch(() => undefined);
        ending.abort();
        await looking;
        return [...seen].sort();
      },
    };
  }

  async function releases(): Promise<string[]> {
    const rows = await domain.sql<{ text: string }[]>`
      select distinct kind || ' ' || release as text from component
       where kind = any(${kinds}) and stopped_at is null and lease_until > clock_timestamp() order by 1`;
    return rows.map(({ text }) => text);
  }

  const all = (release: string) => kinds.map((kind) => `${kind} ${release}`);

  test('a patch replaces every router, instance and connection service unnoticed', async () => {
    const patch = await patchedArchive(later(1));
    assert((await accountsAt(domain, 'berlin-1')).length > 0);
    await unnoticed(async () => {
      await startUpgrade(domain, patch, options);
      await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    });
    assert.deepEqual(await releases(), all(patch.release));
    await untilLinkedToBoth();
  });

  test('it goes back unnoticed, though its coordinator and the supervisor of the other host are killed', async () => {
    await unnoticed(async () => {
      await succeeds('upgrade', 'reverse');
      // Not before: it may be the coordinator that answers, and would be killed in the middle of it.
      const killer = startCoordinatorKiller(domain, ['reversing']);
      await until('the other instance is wanted of the release before', 180_000, async () => {
        const [row] = await domain.sql`select release from desired_process where name = 'berlin-1'`;
        return row?.['release'] === own.release;
      });
      berlin.supervisor.kill('SIGKILL');
      await exitWithin(berlin.supervisor, 30_000, 'the supervisor of berlin');
      berlin.start();
      await untilUpgrade(domain, ['reversed'], { timeoutMs: 280_000 });
      await killer.stop();
      assert.deepEqual([...killer.killedIn], ['reversing']);
    });
    assert.deepEqual(await releases(), all(own.release));
    await untilLinkedToBoth();
  });

  test('tunnels that are open for longer than a drain lasts are ended and counted, by routers and connection services', async () => {
    const patch = await patchedArchive(later(2));
    const before = (await journal()).length;
    const breaks = async () => summarizeTunnels((await journal()).slice(before)).breaks.length;
    await workload.withoutTunnels(async () => {
      const open = async () => {
        const { tunnels } = await fleet.tell<{ tunnels: { kind: string }[] }>({
          ...{ do: 'tunnel', target: internal.target, count: fleetOptions.devices },
        });
        assert(tunnels.every(({ kind }) => kind === 'open'));
        return tunnels.length;
      };
      const throughRouters = await open();
      await startUpgrade(domain, patch, { ...options, soakSeconds: 600 });
      await untilUpgrade(domain, ['moving'], { timeoutMs: 280_000 });
      await until('both routers have ended what was open', 60_000, async () => (await breaks()) === throughRouters);
      const inLogs = await Promise.all([endedBy(domain.home, 'router-1'), endedBy(berlin.home, 'router-2')]);
      assert.equal(inLogs[0] + inLogs[1], throughRouters);
      // The first wave is being observed; the connection service of the second one is still to be replaced.
      const throughServices = await open();
      await succeeds('upgrade', 'set', '--soak', '2');
      await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
      await until('what went through them has been ended', 60_000, async () => (await endedByServices()) > 0);
      await fleet.tell({ do: 'close-tunnels' });
      const ended = await endedByServices();
      assert(ended <= throughServices, `${ended} of ${throughServices}`);
      assert.equal(await breaks(), throughRouters + ended, 'and nothing else broke');
    });
    await succeeds('upgrade', 'finalize');
    await untilUpgrade(domain, ['done'], { timeoutMs: 180_000 });
    const events = await domain.command('events');
    assert.match(events.stdout, /has ended \d+ tunnels? that (was|were) still open 5 s after it was to end/);
  });

  /** As the process of the name has logged. */
  async function endedBy(home: string, name: string): Promise<number> {
    const lines = (await readFile(join(home, 'logs', `${name}.log`), 'utf8')).trim().split('\n');
    return lines
      .map((line) => JSON.parse(line) as { msg: string; tunnels?: number })
      .filter(({ msg }) => /^tunnels were still open/.test(msg))
      .reduce((sum, { tunnels = 0 }) => sum + tunnels, 0);
  }

  async function endedByServices(): Promise<number> {
    const [row] = await domain.sql<{ sum: number }[]>`
      select coalesce(sum((detail ->> 'tunnels')::int), 0)::int as sum from event where kind = 'tunnels-ended'`;
    return row?.sum ?? 0;
  }

  test('the next minor release is finalized unnoticed: emptied instances and their services in place, both supervisors', async () => {
    const next = await patchedArchive(later(0, 1));
    await unnoticed(async () => {
      await startUpgrade(domain, next, {
        ...options,
        wavePercentages: [100],
        soakSeconds: 1,
        gate: openGate,
        oldInstances: 'upgrade',
        reuseInstances: false,
      });
      await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    });
    await unnoticed(async () => {
      await domain.api.call(upgradeOperations.finalize, {});
      await until('it waits for the supervisors', 180_000, async () =>
        /^supervisors /.test((await viewUpgrade(domain)).waitingFor ?? ''),
      );
      for (const host of [domain, berlin]) await takeOver(host, next.release);
      await untilUpgrade(domain, ['done'], { timeoutMs: 180_000 });
    });
    assert.deepEqual(await releases(), all(next.release));
    await untilLinkedToBoth();
  });

  test('nothing was lost or done twice, and no invariant broke', async () => {
    await workload.stop();
    await assertNothingLost(domain, fleet, { enqueued: workload.enqueued });
  });
});
