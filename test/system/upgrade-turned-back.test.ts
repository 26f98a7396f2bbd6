/**
 * An upgrade that ends where it began: a release that fails its canaries pauses by itself, and from there, and from further
 * on, the way back leads to a working domain of the old release.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { exitCode } from '../../src/cli/exit-codes.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, defectiveArchive, sealedArchive } from '../harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { activateAndChangePolicy } from '../harness/old-release-operations.ts';
import { configureDomain, demoBudget, enrolFleet } from '../harness/preparation.ts';
import { type ByHand, signal, startByHand } from '../harness/processes.ts';
import { type Sampler, startSampler } from '../harness/sampler.ts';
import { accountsAt, commandJson } from '../harness/scene.ts';
import { startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { startWorkload, type Workload } from '../harness/workload.ts';

describe('an upgrade that is turned back', () => {
  let from: BuiltArchive;
  let to: BuiltArchive;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let sampler: Sampler;
  let workload: Workload;
  let homes: string[][];
  let rival: ByHand | undefined;

  before(async () => {
    from = await sealedArchive();
    domain = await startDomain({ archive: from.file, instances: 2, administrationServices: 2 });
    await configureDomain(domain, '127.0.0.1:9');
    fleet = await enrolFleet(domain, {
      ...{ devices: 12, accounts: 8, seed: 'upgrade-turned-back', interval: '1500ms' },
      journal: join(domain.home, 'journal.ndjson'),
    });
    homes = [await accountsAt(domain, 'server-1'), await accountsAt(domain, 'server-2')];
    sampler = startSampler(domain.sql, demoBudget);
    workload = startWorkload(domain, fleet, '127.0.0.1:9', { commandIntervalMs: 400, tunnels: 0, tunnelMs: 1000 });
  });
  after(async () => {
    rival?.process.kill('SIGKILL');
    await workload?.stop();
    await fleet?.stop();
    await sampler?.stop();
    await domain?.stop();
  });

  /** Everybody is where they were, the old release administers, and every device is served. */
  async function assertAsBefore(): Promise<void> {
    await untilUpgrade(domain, ['reversed']);
    assert.deepEqual([await accountsAt(domain, 'server-1'), await accountsAt(domain, 'server-2')], homes);
    const [row] = await domain.sql`select release, feature_level as level from domain`;
    assert.deepEqual({ ...row }, { release: from.release, level: from.release });
    const others = await domain.sql`select name, release from component where release <> ${from.release}`;
    assert.deepEqual(
      [...others].filter(({ name }) => !String(name).startsWith('upgrade-coordinator')),
      [],
    );
    await until('an administration service of the old release answers', 30_000, () => isAnswering(domain));
    await untilServed(domain, fleet);
  }

  test('a new instance that fails its canaries’ requests closes the gate, which pauses the upgrade and says why', async () => {
    const [major = 0, minor = 0] = from.release.split('.').map(Number);
    to = await defectiveArchive(`${major}.${minor + 1}.99`);
    const asked = await domain.command('release', 'compatible', to.file);
    assert.equal(asked.code, exitCode.minorStep, asked.stderr);
    assert.match(asked.stdout, /a minor upgrade.*more process/s);
    await startUpgrade(domain, to, {
      canariesPerInstance: 2,
      wavePercentages: [80, 100],
      soakSeconds: 5,
      // It answers as soon as it can: a device that was refused comes again later and later.
      gate: { leastRequests: 30, baselineHours: 1, patienceSeconds: 180 },
    });
    const view = await untilUpgrade(domain, ['paused'], { timeoutMs: 280_000 });
    assert.match(view.pauseReason ?? '', /the gate of wave 1 \(.*\) says fail: .*requests failed/);
    assert(view.moved <= 4, `${view.moved} accounts have moved, and the canaries are four`);
    const status = await domain.command('upgrade', 'status');
    assert.match(status.stdout, /says fail/);
    const report = await commandJson<{ state: string; pauseReason: string }>(domain, 'upgrade', 'report');
    assert.equal(report.state, 'paused');
    assert.equal(report.pauseReason, view.pauseReason);
    const { failedByClass } = summarizeRequests((await readEvidence(fleet)).journal);
    assert((failedByClass.unavailable ?? 0) >= 3, JSON.stringify(failedByClass));
  });

  test('routers of the new release were there before, and tell what the canaries’ devices saw', async () => {
    const rows = await domain.sql`
      select name from component where kind = 'router' and release <> (select to_release from upgrade)`;
    assert.deepEqual([...rows], []);
    await until('failures at the new instances are counted', 60_000, async () => {
      const [row] = await domain.sql`
        select sum(o.failed)::int as failed
          from request_outcome o join instance i on i.id = o.instance_id where not i.name in ('server-1', 'server-2')`;
      return (row?.['failed'] ?? 0) > 0;
    });
  });

  test('accepted all the same, more accounts move; two coordinators turn it back, one stopped past its lease', async () => {
    const changed = await domain.command(
      'upgrade',
      'set',
      '--out-of-reach-after',
      '4',
      '--window',
      'daily 00:00-24:00 UTC',
    );
    assert.equal(changed.code, 0, changed.stderr);
    const resumed = await domain.command('upgrade', 'resume', '--accept-gate');
    assert.equal(resumed.code, 0, resumed.stderr);
    await untilUpgrade(domain, [], { enough: (view) => view.moved >= 5 });
    rival = startByHand(domain, to.release, 'coordinator', 'upgrade-coordinator-rival');
    const reversed = await domain.command('upgrade', 'reverse');
    assert.equal(reversed.code, 0, reversed.stderr);
    const stopped = await signal(domain, 'upgrade-coordinator', 'SIGSTOP');
    await until('the rival holds the lease', 60_000, async () => {
      const [row] = await domain.sql`
        select 1 from upgrade where lease_holder like 'upgrade-coordinator-rival%' and lease_until > clock_timestamp()`;
      return row !== undefined;
    });
    process.kill(stopped, 'SIGCONT');
    await assertAsBefore();
    // The old administration shows a plan with options that it does not know.
    const { plan } = await commandJson<{ plan: { options: Record<string, unknown> } }>(domain, 'upgrade', 'report');
    assert.deepEqual([plan.options['outOfReachSeconds'], plan.options['windows']], [4, ['daily 00:00-24:00 UTC']]);
    rival.process.kill('SIGTERM');
    const { code, said } = await rival.ended;
    assert.equal(code, 0, said);
    const homeward = await domain.sql<{ moves: number }[]>`
      select count(*)::int as moves from account_move m join move_batch b on b.id = m.batch_id
       where b.purpose = 'reverse' and m.state <> 'cancelled'
       group by m.account_id having count(*) > 1`;
    assert.deepEqual([...homeward], [], 'nobody was brought home twice');
  });

  test('what the failed release did is listed by account, though the old administration does not know the question', async () => {
    const { accounts, total } = await commandJson<{
      accounts: { account: string; moves: number; handedOut: number }[];
      total: { moves: number; handedOut: number; onDevices: number };
    }>(domain, 'upgrade', 'effects');
    const moved = await domain.sql<{ name: string; moves: number }[]>`
      select a.name, count(*)::int as moves from account_move m join account a on a.id = m.account_id
        join move_batch b on b.id = m.batch_id join upgrade u on u.id = b.upgrade_id
       where m.committed_at is not null group by 1 order by 1`;
    const listed = accounts.filter(({ moves }) => moves > 0).map(({ account: name, moves }) => ({ name, moves }));
    assert.deepEqual(listed, [...moved]);
    const [sent] = await domain.sql<{ count: number }[]>`
      select count(*)::int as count from delivery d
       where d.handed_out_at is not null and (d.compiled_by = ${to.release} or exists (
               select 1 from command c join instance i on i.id = c.sent_instance
                where c.delivery_id = d.id and i.name not in ('server-1', 'server-2')))`;
    assert.equal(total.handedOut, sent?.count);
    const [left] = await domain.sql<{ count: number }[]>`
      select count(*)::int as count from (
        select distinct on (device_id, item) device_id, compiled_by from delivery
         where state = 'done' and item <> 'device-identity' order by device_id, item, released_at desc) latest
       where compiled_by = ${to.release}`;
    assert.equal(total.onDevices, left?.count);
  });

  test('after the way back the old release activates a device and changes a policy, both acknowledged', async () => {
    await activateAndChangePolicy(domain, fleet, 'after-the-reverse');
  });

  test('nothing was lost or done twice, and no invariant broke', async () => {
    await workload.stop();
    assert(workload.enqueued.size > 20, `${workload.enqueued.size} commands`);
    await assertNothingLost(domain, fleet, { samples: sampler.samples, enqueued: workload.enqueued });
  });
});
