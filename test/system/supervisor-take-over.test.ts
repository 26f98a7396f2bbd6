/**
 * The supervisor is replaced under a working domain: one of the sealed release, once finalizing asks for it, and then one of
 * this release. From outside nothing of it is to be seen, by devices, open tunnels or whoever just connects.
 */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { exitCode } from '../../src/cli/exit-codes.ts';
import { summarizeRequests, summarizeTunnels } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { type BuiltArchive, sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { failuresIn, readEvidence } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { commandJson } from '../harness/scene.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { viewUpgrade } from '../harness/upgrade-view.ts';
import { startInternalHost } from '../harness/workload.ts';

describe('a supervisor that another takes the place of', () => {
  let to: BuiltArchive;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let internal: { target: string; server: Server };

  before(async () => {
    const from = await sealedArchive();
    to = await workingTreeArchive();
    internal = await startInternalHost();
    domain = await startDomain({ archive: from.file, instances: 1, ownSupervisor: true });
    await configureDomain(domain, internal.target);
    fleet = await enrolFleet(domain, {
      ...{ devices: 6, accounts: 3, seed: 'supervisor', interval: '500ms' },
      journal: join(domain.home, 'journal.ndjson'),
    });
  });
  after(async () => {
    await fleet?.stop();
    await domain?.stop();
    internal?.server.close();
  });

  /** Runs `work` while devices ask, tunnels stand and connections are made; none of them may notice. */
  async function unnoticed(work: () => Promise<void>): Promise<void> {
    const before = await readEvidence(fleet);
    const processes = await listProcesses();
    await fleet.tell({ do: 'tunnel', target: internal.target, count: 2 });
    const connections = connectAgainAndAgain(new URL(domain.publicUrl));
    await work();
    await connections.until(20);
    const asked = summarizeRequests(before.journal).ok;
    await until('every device was answered afterwards', 60_000, async () => {
      return summarizeRequests((await readEvidence(fleet)).journal).ok > asked + 30;
    });
    assert.deepEqual(await connections.stop(), []);
    await fleet.tell({ do: 'close-tunnels' });
    const journal = (await readEvidence(fleet)).journal.slice(before.journal.length);
    assert.deepEqual(failuresIn(journal), []);
    assert.deepEqual(summarizeTunnels(journal).breaks, []);
    assert.deepEqual(await listProcesses(), processes, 'no process was started again');
  }

  async function listProcesses(): Promise<string[]> {
    const rows = await domain.sql<{ name: string; id: number }[]>`
      select name, process_id as id from component
       where kind <> 'coordinator' and stopped_at is null and lease_until > clock_timestamp() order by name`;
    return rows.map(({ name, id }) => `${name} ${id}`);
  }

  test('finalizing asks for the new supervisor, which takes over from the sealed one unnoticed', async () => {
    await startUpgrade(domain, to, {
      ...{ canariesPerInstance: 1, wavePercentages: [100], soakSeconds: 1, fenceGraceMs: 1500, gate: openGate },
    });
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 240_000 });
    await domain.api.call(upgradeOperations.finalize, {});
    await until('finalizing waits for the supervisor', 120_000, async () =>
      /^supervisors of an earlier release: /.test((await viewUpgrade(domain)).waitingFor ?? ''),
    );
    const status = await domain.command('upgrade', 'status');
    assert.match(status.stdout, new RegExp(`node "\\$BRAMBLE_HOME/releases/${to.release}/bramble\\.mjs" up`));
    const sealed = domain.supervisor;
    await unnoticed(async () => {
      await domain.startSupervisor();
      await exitWithin(sealed, 60_000, 'the sealed supervisor');
    });
    await untilUpgrade(domain, ['done']);
    const { supervisors } = await commandJson<{ supervisors: { release: string; atWork: boolean }[] }>(
      domain,
      'status',
    );
    assert.deepEqual(
      supervisors.map(({ release, atWork }) => [release, atWork]),
      [[to.release, true]],
    );
  });

  test('one of this release takes over when told to, and after kill -9, unnoticed', async () => {
    const former = domain.supervisor;
    await unnoticed(async () => {
      await domain.startSupervisor('--take-over');
      assert.equal(await exitWithin(former, 60_000, 'the former supervisor'), exitCode.ok);
      domain.supervisor.kill('SIGKILL');
      await exitWithin(domain.supervisor, 60_000, 'the killed supervisor');
      await domain.startSupervisor();
    });
    const killed = domain.supervisor;
    await until('the last one supervises', 60_000, async () => {
      const [row] = await domain.sql`select process_id as id from supervisor`;
      return row?.['id'] === killed.pid;
    });
  });
});

/** A TLS connection after the other. */
function connectAgainAndAgain({ hostname, port }: URL) {
  const failures: string[] = [];
  let made = 0;
  let stopped = false;
  const connectOnce = () =>
    new Promise<void>((resolve) => {
      const socket = tls.connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
        made += 1;
        socket.destroy();
      });
      socket.once('error', (error) => failures.push(error.message)).once('close', () => resolve());
    });
  const done = (async () => {
    while (!stopped) await connectOnce();
  })();
  return {
    until: async (more: number) => {
      const wanted = made + more;
      await until('connections are made', 60_000, () => made >= wanted || failures.length > 0);
    },
    /** What failed. */
    stop: async () => {
      stopped = true;
      await done;
      return failures;
    },
  };
}
