/**
 * What a step of the coordinator works with. A step reads the row, does one thing whose effect and record are one
 * transaction (or whose effect is idempotent), and ends; the next one starts from the row again. So a coordinator that is
 * killed anywhere loses nothing but time.
 */
import type { Database, Transaction } from '../database/connection.ts';
import type { CheckResult } from './upgrade-plan.ts';
import { lockLeased, type Upgrade } from './upgrade-store.ts';

export type StepOutcome =
  /** Something was done: go on at once. */
  | { kind: 'advanced' }
  /** Nothing to do until something else happens. */
  | { kind: 'waiting'; for: string };

export const advanced: StepOutcome = { kind: 'advanced' };

export function waitingFor(reason: string): StepOutcome {
  return { kind: 'waiting', for: reason };
}

/** What lies beyond the database's transactions. Each can be repeated after an interruption. */
export interface UpgradeEffects {
  /** The checks before anything is changed; results without regard to overrides. */
  check(upgrade: Upgrade): Promise<CheckResult[]>;
  /** Applies the additive migrations of this release with their backfill; returns the schema version. */
  expand(): Promise<number>;
  /** Applies the contracting ones too. */
  contract(): Promise<number>;
  /**
   * Issues the SRP credential of `identifier` in the transaction and puts its file where its process finds it, with the
   * router addresses of `like`, a credential of the same host.
   */
  issueCredential(tx: Transaction, identifier: string, like: string): Promise<void>;
}

/** Somebody changed the upgrade since the step read it: the step did nothing and is decided anew. */
export class UpgradeChanged extends Error {}

export interface StepContext {
  db: Database;
  /** The release of this coordinator: the upgrade's target. */
  release: string;
  /** The coordinator's component name, for who asked for moves. */
  name: string;
  /** Holder of the lease: one for each process. */
  holder: string;
  effects: UpgradeEffects;
  signal?: AbortSignal;
  /** Told of each transaction of a step, before it begins and after it is committed. */
  observe?: (step: string, when: 'before' | 'after') => void;
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
  const result = await context.db.begin(async (tx) => await work(tx, await lockAsRead(tx, context, read)));
  context.observe?.(step, 'after');
  return result as Result;
}

/** Locks the row for a step whose transaction holds another lock first. */
export async function lockAsRead(
  tx: Transaction,
  context: Pick<StepContext, 'holder'>,
  read: Upgrade,
): Promise<Upgrade> {
  const upgrade = await lockLeased(tx, read.id, context.holder);
  if (upgrade.generation !== read.generation || upgrade.state !== read.state) throw new UpgradeChanged();
  return upgrade;
}
