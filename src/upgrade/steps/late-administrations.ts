/**
 * Administration services on further hosts. As in the original, the unit is the computer: one stays stopped until the supervisor of its
 * host is of the new release and that release is there. A patch leaves supervisors as they are: there only the release has to be there.
 *
 * Invariant: none is left stopped by an upgrade that is done.
 */

import type { Queryable, Transaction } from '../../database/connection.ts';
import { changeDesiredProcesses, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { readyHosts } from '../components/host-readiness.ts';
import type { WantedProcess } from '../state/upgrade-plan.ts';
import type { UpgradeState } from '../state/upgrade-states.ts';
import { administrationsBefore, hasReached } from '../state/upgrade-steps.ts';
import { recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction } from './step-context.ts';

/** Those that were at work before the release fence, and can start now. */
export async function administrationsToStart(
  { db, host }: Pick<StepContext, 'db' | 'host'>,
  upgrade: Upgrade,
): Promise<WantedProcess[]> {
  const before = administrationsBefore(upgrade.progress.step).filter((process) => process.state === 'running');
  if (before.every((process) => process.host === host)) return [...before];
  const ready = await readyHosts(db, upgrade.toRelease, { supervisors: !upgrade.plan.patch });
  return before.filter((process) => process.host === host || ready.includes(process.host));
}

/** Names of those that wait for their host. */
export async function lateAdministrations(
  q: Queryable,
  host: string,
  { progress: { step } }: Upgrade,
): Promise<string[]> {
  const elsewhere = administrationsBefore(step).filter(
    (process) => process.state === 'running' && process.host !== host,
  );
  if (elsewhere.length === 0) return [];
  const desired = await listDesiredProcesses(q);
  return elsewhere
    .map(({ name }) => name)
    .filter((name) => desired.some((process) => process.name === name && process.state === 'stopped'));
}

const forwardStates: readonly UpgradeState[] = ['admin-upgraded', 'moving', 'all-moved', 'soaking', 'finalizing'];

/** Starts those that had to wait for their host; undefined where there are none. */
export async function startLateAdministrations(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  if (!forwardStates.includes(read.state) || hasReached(read.progress.step, 'feature-level-raised')) return undefined;
  const waiting = await lateAdministrations(context.db, context.host, read);
  if (waiting.length === 0) return undefined;
  const late = (await administrationsToStart(context, read))
    .map(({ name }) => name)
    .filter((name) => waiting.includes(name));
  if (late.length === 0) return undefined;
  return await stepTransaction(context, 'start-late-administrations', read, async (tx, upgrade) => {
    await start(tx, upgrade, late, 'are starting');
    return advanced;
  });
}

/** Those that still wait when the upgrade is done: no step starts them any more, but their supervisors when they are back. */
export async function leaveToSupervisors(tx: Transaction, host: string, done: Upgrade): Promise<void> {
  const late = await lateAdministrations(tx, host, done);
  if (late.length > 0) await start(tx, done, late, 'start as soon as their hosts can');
}

async function start(tx: Transaction, upgrade: Upgrade, names: readonly string[], what: string): Promise<void> {
  await changeDesiredProcesses(tx, names, { release: upgrade.toRelease, state: 'running' });
  await recordUpgradeEvent(tx, upgrade, `administration services of ${upgrade.toRelease} ${what}: ${names.join(', ')}`);
}
