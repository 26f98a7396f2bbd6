/**
 * One turn of the policy service: its steps in their order, and how long the next turn may wait. Invariant: the rest is
 * never longer than until the earliest time at which something known to this turn becomes due.
 */
import type { Database } from '../database/connection.ts';
import type { GuardedSteps } from './guarded-steps.ts';
import type { FollowedPaces } from './paces.ts';
import type { HeldOutcome, Releasing } from './releasing.ts';
import type { RenewalTurns } from './renewal-turns.ts';
import type { ServiceChores } from './service-chores.ts';
import { recordHold } from './situation.ts';
import type { Waker } from './waker.ts';

export interface TurnParts {
  readonly db: Database;
  readonly instanceId: string;
  readonly steps: GuardedSteps;
  readonly paces: FollowedPaces;
  readonly chores: ServiceChores;
  readonly releasing: Releasing;
  readonly renewals: RenewalTurns;
  readonly waker: Waker;
  /** Time between two turns while something is to be sent. */
  readonly busyMs: number;
}

interface TurnOutcome {
  /** How many devices were woken. */
  readonly woken: number;
  readonly restMs: number;
}

/**
 * Time between two turns while nothing is to be sent, but something is pending: devices have not answered yet and may
 * fall silent, an account was locked, a step failed.
 */
const awaitingMs = 1000;
/**
 * The same while nothing is known to become due earlier; a notification on channel `bramble_delivery` ends the wait.
 */
const quietMs = 15_000;

export async function takeTurn(parts: TurnParts, signal: AbortSignal | undefined): Promise<TurnOutcome> {
  const { steps, releasing, renewals } = parts;
  const before = { ...releasing.counts(), failed: steps.failed() };
  await steps.take('read settings', () => parts.paces.refresh());
  const paces = parts.paces.current();
  if (paces === undefined) return { woken: 0, restMs: parts.busyMs };
  await parts.chores.freeSlots(paces);
  let unheldDueInMs = Infinity;
  await steps.take('release what is not held back', async () => {
    unheldDueInMs = await releasing.unheld();
  });
  let held: HeldOutcome | undefined;
  await steps.take('release within the budget', async () => {
    held = await releasing.withinBudget(paces);
    if (held.reason) await recordHold(parts.db, parts.instanceId, held.reason, held.situation.owed);
  });
  let wakes = { woken: 0, dueInMs: Infinity };
  await steps.take('wake', async () => {
    const free = held ? Math.min(held.situation.freeInstance, held.situation.freeDomain) : 0;
    wakes = await parts.waker.wake(paces.delivery, free, signal);
  });
  let owedAgain = await parts.chores.oweRefused(paces);
  if (renewals.isDue()) {
    await steps.take('owe renewals of identities', async () => {
      owedAgain += await renewals.begin(paces);
    });
  }
  const dueInMs = Math.min(unheldDueInMs, held?.dueInMs ?? Infinity, wakes.dueInMs, renewals.dueInMs());
  await parts.chores.trimCommands(paces);
  const after = releasing.counts();
  const restMs = restAfter(held?.situation, {
    ...{ owedAgain, dueInMs, busyMs: parts.busyMs },
    hasSent: after.released > before.released || after.settled > before.settled || wakes.woken > 0,
    hasFailed: steps.failed() > before.failed,
  });
  return { woken: wakes.woken, restMs };
}

/** How long the next turn may wait, after one that found this situation: undefined if it could not tell. Pure. */
export function restAfter(
  situation: { readonly owed: number; readonly released: number; readonly takenInstance: number } | undefined,
  turn: {
    readonly owedAgain: number;
    readonly dueInMs: number;
    readonly busyMs: number;
    readonly hasSent: boolean;
    readonly hasFailed: boolean;
  },
): number {
  if (situation === undefined || situation.owed + situation.released + turn.owedAgain > 0) return turn.busyMs;
  if (turn.hasSent) return turn.busyMs;
  const isPending = situation.takenInstance > 0 || turn.hasFailed;
  return Math.min(quietMs, turn.dueInMs, isPending ? awaitingMs : Infinity);
}
