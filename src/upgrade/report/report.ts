/**
 * The progress of an upgrade: its state and waits, waves with their figures, deliveries, what was held back, features
 * and what locks each. Counted from the rows as they are; for people in `report-text.ts`.
 */

import type { Unchanged } from '../../api/operation.ts';
import type { UpgradeReport, UpgradeWait } from '../../api/upgrade-report.ts';
import type { Queryable } from '../../database/connection.ts';
import { listHeldBack } from '../../deliveries/delivery-figures.ts';
import { readDomain } from '../../domain/domain.ts';
import { countMovedAccounts } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import { type Feature, featureStates, lockedByUpgrade } from '../../registry/features.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { deliveryStates } from '../../states/delivery-states.ts';
import { listInstancesBehind } from '../components/instances-behind.ts';
import {
  describePosition,
  listUpgradeEvents,
  readDurationSeconds,
  type Upgrade,
  type UpgradeEvent,
} from '../state/upgrade-store.ts';
import { readWaveMoves } from '../state/wave-accounts.ts';
import { listWaves, soakingSince, type Wave } from '../state/wave-store.ts';
import { listNotReturned } from '../steps/in-place-steps.ts';
import { countReplacedAccounts } from '../waves/replaced-accounts.ts';
import { readWaits } from './wait-facts.ts';

/** As this release makes it. */
export type Report = Unchanged<Omit<UpgradeReport, 'waits'> & { waits: UpgradeWait[] }>;

/** In place nothing moves. */
const noMoves = { outOfReach: 0, delivering: 0, underWay: 0, waiting: 0, failed: 0 };

/** Everything about one upgrade. Several statements: figures may be some milliseconds apart. */
export async function readUpgradeReport(q: Queryable, upgrade: Upgrade, features: readonly Feature[]): Promise<Report> {
  const [domain, components, supervisors, waves, events, deliveries, heldBack, accounts, notBack, emptied, seconds] =
    await Promise.all([
      readDomain(q),
      listComponents(q),
      listSupervisors(q),
      listWaves(q, upgrade.id),
      listUpgradeEvents(q, upgrade.id),
      countDeliveries(q, upgrade),
      listHeldBack(q),
      countAccounts(q, upgrade),
      listNotReturned(q, upgrade),
      listEmptied(q, upgrade),
      readDurationSeconds(q, upgrade),
    ]);
  const waveReports = await Promise.all(
    waves.map(async ({ readAt: _readAt, soakingSeconds: _soaking, absentUntil, ...wave }) => {
      const moves = upgrade.plan.inPlace
        ? { ...noMoves, ...(await countReplacedAccounts(q, upgrade, wave.number)) }
        : await readWaveMoves(q, upgrade.id, wave.number);
      const counts = { accounts: moves.accounts, settled: moves.settled, moves };
      return { ...wave, soaksUntil: soaksUntil({ ...wave, absentUntil }, upgrade), gate: gateOf(wave.gate), ...counts };
    }),
  );
  const states = featureStates(features, domain.featureLevel, components);
  const waits = await readWaits(q, upgrade, { waves: waveReports, lockedFeatures: lockedByUpgrade(states) });
  return {
    id: upgrade.id,
    release: { from: upgrade.fromRelease, to: upgrade.toRelease },
    fromRelease: upgrade.fromRelease,
    toRelease: upgrade.toRelease,
    state: upgrade.state,
    pausedFrom: upgrade.pausedFrom,
    position: describePosition(upgrade),
    pauseReason: upgrade.pauseReason,
    waitingFor: upgrade.progress.waitingFor ?? null,
    waits,
    coordinator: { holder: upgrade.leaseHolder, atWork: upgrade.leaseHeld },
    createdAt: upgrade.createdAt,
    finishedAt: upgrade.finishedAt,
    seconds,
    plan: upgrade.plan,
    checks: upgrade.progress.checks,
    newInstances: upgrade.progress.newInstances.map(({ name, replaces }) => ({ name, replaces })),
    replacements: upgrade.progress.replacements.map(({ name, host, wave, beganAt = null, atWorkAt = null }) => ({
      ...{ name, host, wave, beganAt, atWorkAt },
    })),
    accounts,
    notBack,
    emptied,
    waves: waveReports,
    deliveries,
    supervisors,
    heldBack,
    features: states,
    phases: phasesOf(events, upgrade.createdAt.getTime() + seconds * 1000),
    events,
  };
}

function soaksUntil(wave: Pick<Wave, 'state' | 'soakingAt' | 'absentUntil'>, { plan }: Upgrade): Date | null {
  const since = soakingSince(wave);
  if (wave.state !== 'soaking' || since === null) return null;
  return new Date(since.getTime() + plan.options.soakSeconds * 1000);
}

/** The gate's answer with its reasons in one text. */
function gateOf(gate: Wave['gate']): Wave['gate'] {
  return gate?.reasons === undefined ? gate : { ...gate, reason: gate.reasons.join('; ') };
}

/** From the log: each change of state, and how long it lasted. Pure. */
function phasesOf(events: readonly UpgradeEvent[], endMs: number): Report['phases'] {
  const changes = events.filter((event, index) => event.state !== events[index - 1]?.state);
  return changes.map((event, index) => {
    const until = changes[index + 1]?.at.getTime() ?? endMs;
    return { state: event.state, at: event.at, seconds: Math.max(0, (until - event.at.getTime()) / 1000) };
  });
}

/** Through delivery_move, by the purpose of the batch that each move belongs to. */
async function countDeliveries(q: Queryable, upgrade: Upgrade): Promise<UpgradeReport['deliveries']> {
  return await q<UpgradeReport['deliveries']>`
    select d.item, case when b.purpose = 'wave' then 'onward' else 'back' end as direction,
           count(*) filter (where d.state = 'done')::int as done,
           count(*) filter (where d.state = 'failed')::int as failed,
           count(*) filter (where ${deliveryStates.in(q, 'awaited', 'd')})::int as open,
           count(*) filter (where d.state = 'suspect')::int as suspects
      from move_batch b join account_move m on m.batch_id = b.id join delivery d on d.move_id = m.id
     where b.upgrade_id = ${upgrade.id}
     group by 1, 2 order by 2 desc, 1`;
}

async function countAccounts(q: Queryable, upgrade: Upgrade): Promise<Report['accounts']> {
  const behind = await listInstancesBehind(q, upgrade.toRelease);
  const atOldRelease = behind.reduce((sum, { accounts }) => sum + accounts, 0);
  return { ...(await countMovedAccounts(q, upgrade.id)), atOldRelease };
}

async function listEmptied(q: Queryable, upgrade: Upgrade): Promise<string[]> {
  if (upgrade.state !== 'done') return [];
  const replaced = upgrade.progress.newInstances.map(({ replacesId }) => replacesId);
  const rows = await q<{ name: string }[]>`
    select i.name from instance i
     where i.id = any(${replaced}::uuid[]) and i.retired_at is null
       and not exists (select 1 from account a where a.instance_id = i.id)
     order by i.name`;
  return rows.map(({ name }) => name);
}
