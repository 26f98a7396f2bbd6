/**
 * How long an upgrade will take, as far as that is known: what the newest rehearsal measured, and what the waves take at least with
 * the plan's own options. Computed when somebody asks, and not stored, since a later rehearsal knows better. Pure.
 */
import type { UpgradePlan } from '../../api/upgrade-plan.ts';
import type { ExpectedTimes } from '../../api/upgrade-report.ts';
import type { UpgradeState } from '../state/upgrade-states.ts';
import { fenceMs, type Rehearsal } from './rehearsal-record.ts';

const untilAdministrationIsBack: readonly UpgradeState[] = ['planned', 'checked', 'admin-fenced', 'expanded'];

/** Undefined once the administration is back. Options that the waves' times follow from can change once the checks have passed. */
export function expectedTimes(
  plan: UpgradePlan,
  state: UpgradeState,
  rehearsal: Rehearsal | undefined,
): ExpectedTimes | undefined {
  if (!untilAdministrationIsBack.includes(state)) return undefined;
  return { rehearsed: measuredTimes(rehearsal), waves: state === 'planned' ? waveTimes(plan) : null };
}

/** One that said no go measured an upgrade that will not be made. */
function measuredTimes(rehearsal: Rehearsal | undefined): ExpectedTimes['rehearsed'] {
  if (rehearsal === undefined || rehearsal.obstacles.length > 0) return null;
  const { rehearsedAt, backup, times } = rehearsal;
  return {
    ...{ at: rehearsedAt, takenAt: backup.takenAt },
    awaySeconds: fenceMs(rehearsal) / 1000,
    expandSeconds: times.expandMs / 1000,
    backfills: times.migrations
      .filter(({ backfilledRows }) => backfilledRows > 0)
      .map(({ name, ms, backfilledRows }) => ({ migration: name, rows: backfilledRows, seconds: ms / 1000 })),
  };
}

function waveTimes({ waves, sends, options }: UpgradePlan): ExpectedTimes['waves'] {
  const sendSeconds = sends.leastMinutes * 60;
  const { soakSeconds } = options;
  return { count: waves.length, sendSeconds, soakSeconds, leastSeconds: sendSeconds + waves.length * soakSeconds };
}
