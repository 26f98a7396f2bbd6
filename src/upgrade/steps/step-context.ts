/**
 * What a step of the coordinator works with. A step reads the row, does one thing whose effect and record are one
 * transaction (or whose effect is idempotent), and ends; the next one starts from the row again. So a coordinator that
 * is killed anywhere loses nothing but time.
 */

import { recorded } from '../../access/audit/record.ts';
import type { CheckResult } from '../../api/upgrade-plan.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { type FenceOptions, type FenceResult, fenceRelease } from '../fence/release-fence.ts';
import type { GateMemory } from '../gates/gate-past.ts';
import { lockLeased, type Upgrade } from '../state/upgrade-store.ts';

export type StepOutcome =
  /** Something was done: continue at once. */
  | { kind: 'advanced' }
  /** Nothing to do until something else happens. */
  | { kind: 'waiting'; for: string };

export const advanced: StepOutcome = { kind: 'advanced' };

export function waitingFor(reason: string): StepOutcome {
  return { kind: 'waiting', for: reason };
}

/** Effects outside of database transactions. Each can be repeated after an interruption. */
export interface UpgradeEffects {
  /** The checks before anything is changed; results regardless of overrides. `begins` is called with each. */
  check(upgrade: Upgrade, begins: (name: string) => Promise<void>): Promise<CheckResult[]>;
  /** Applies the additive migrations of this release with their backfill; returns the schema version. */
  expand(): Promise<number>;
  /** Stores this release or the one before where hosts that joined fetch it, if there are any and the schema has room for it. */
  distribute(release: string): Promise<void>;
  /** Hosts on which this release cannot be started, since it is not installed there, and will not come by itself. */
  lacking(release: string): Promise<string[]>;
  /** Also applies the contracting ones. */
  contract(): Promise<number>;
  /**
   * Issues the SRP credential of `identifier` in the transaction and writes its file for its process, with the router
   * addresses of the credential `like` if that is on this host, or else those of the domain.
   */
  issueCredential(tx: Transaction, identifier: string, like: string): Promise<void>;
}

/** The upgrade has changed since the step read it: the step did nothing, and is chosen anew. */
export class UpgradeChanged extends Error {}

export interface StepContext {
  db: Database;
  /** The release of this coordinator: the upgrade's target. */
  release: string;
  /** The coordinator's component name, as the author of moves. */
  name: string;
  /** This host: credential files cannot be written on others. */
  host: string;
  /** Holder of the lease: one for each process. */
  holder: string;
  effects: UpgradeEffects;
  signal?: AbortSignal;
  /** Caches what gates read of the past. */
  gateMemory?: GateMemory;
  /** Called with each transaction of a step: before it begins, when it is about to be committed, and after that. */
  observe?: (step: string, when: 'before' | 'during' | 'after') => void;
}

/**
 * The transaction of a step: under the row's lock and the lease, and only if the upgrade is as the step read it.
 * @throws LeaseLostError, UpgradeChanged.
 */
export async function stepTransaction<Result>(
  context: StepContext,
  step: string,
  read: Upgrade,
  work: (tx: Transaction, upgrade: Upgrade) => Promise<Result>,
): Promise<Result> {
  context.observe?.(step, 'before');
  const result = await context.db.begin(async (tx) => {
    const current = await lockAsRead(tx, context, read);
    const made = await recordedStep(context, step, current, tx, () => work(tx, current));
    context.observe?.(step, 'during');
    return made;
  });
  context.observe?.(step, 'after');
  return result as Result;
}

/**
 * The same under the release fence, for what no transaction of others may stand beside.
 * @throws as {@link stepTransaction} and {@link fenceRelease}.
 */
export async function fencedStep<Result>(
  context: StepContext,
  step: string,
  read: Upgrade,
  options: FenceOptions,
  work: (tx: Transaction, upgrade: Upgrade, fence: FenceResult) => Promise<Result>,
): Promise<Result> {
  context.observe?.(step, 'before');
  const result = await fenceRelease(context.db, options, async (tx, fence) => {
    const current = await lockAsRead(tx, context, read);
    const made = await recordedStep(context, step, current, tx, () => work(tx, current, fence));
    context.observe?.(step, 'during');
    return made;
  });
  context.observe?.(step, 'after');
  return result;
}

/** A coordinator records its progress all the time: only its changes to the domain are audited. */
async function recordedStep<Result>(
  { name }: StepContext,
  step: string,
  upgrade: Upgrade,
  tx: Transaction,
  work: () => Promise<Result>,
): Promise<Result> {
  const { finalizedBy, startedBy } = upgrade.progress;
  const orderer = finalizedBy ?? startedBy;
  return await recorded(
    tx,
    {
      actor: name,
      operation: `upgrade step ${step}`,
      subjects: [upgrade.toRelease],
      from: { component: name, ...(orderer === undefined ? {} : { onOrderOf: orderer }) },
      when: 'changed',
    },
    work,
  );
}

/** Locks the row for a step whose transaction holds another lock first. */
async function lockAsRead(tx: Transaction, context: Pick<StepContext, 'holder'>, read: Upgrade): Promise<Upgrade> {
  const upgrade = await lockLeased(tx, read.id, context.holder);
  if (upgrade.generation !== read.generation || upgrade.state !== read.state) throw new UpgradeChanged();
  return upgrade;
}
