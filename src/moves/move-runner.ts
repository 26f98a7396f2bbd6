/**
 * Executes queued account moves, only as fast as their deliveries drain, and settles those that devices have answered.
 *
 * Any number of runners may work concurrently (administration services, the coordinator): reservations keep them apart,
 * and each of their transactions is under the release lock. One account's failure does not affect any other.
 */
import { moveDeadlineMs } from '../accounts/moving-patience.ts';
import { type Bell, createBell } from '../base/bell.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { administrationTransaction, takeReleaseLock } from '../database/release-lock.ts';
import { sqlState } from '../database/sql-state.ts';
import { beginTogether, isFailedCondition } from '../database/together.ts';
import { resumeForEarlierRelease } from '../devices/earlier-release.ts';
import {
  areMovesQueued,
  type CommittedMove,
  cancelMoveElsewhere,
  commitMove,
  commitMoveOrFail,
  countUndrained,
  type Delivering,
  fenceMove,
  listenForMoves,
  markOutOfReach,
  type ReservedMove,
  reserveMoves,
  type SettlingScope,
  settleMoves,
  unfenceMove,
  unmarkedDeadlineMs,
  whoIsDelivering,
} from './move-store.ts';

export interface MoveRunnerOptions {
  db: Database;
  /** The release that the domain must be of. */
  release: string;
  /** The component's name, for reservations. */
  name: string;
  /**
   * Queues the deliveries that a move owes the account's devices; in the move's transaction, whose statements are all
   * sent at once.
   */
  oweDeliveries: (tx: Transaction, move: ReservedMove) => Promise<unknown>;
  /**
   * Notifies the policy services that accounts may have moved, or may be served again where they were: once per round,
   * outside the moves' transactions.
   */
  announce?: (db: Database) => Promise<unknown>;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** Accounts moved at the same time. */
  concurrency?: number;
  /** Device effects that may be open before further moves wait; read anew each round. */
  drainWindow: (db: Database) => Promise<number>;
  /** The upgrade that may start no moves at this time; read anew each round. */
  heldUpgrade?: (db: Database) => Promise<string | undefined>;
  /** Seconds after which an account whose devices do not come is out of reach. */
  outOfReachSeconds?: number;
  /** Milliseconds between two rounds without a notification, while there are moves. Default 200. */
  intervalMs?: number;
}

const maxAttempts = 20;
/** Between two rounds while there is nothing to move, unless a notification comes before. */
const quietMs = 30_000;
/** Maximum reserved per round: they share its statements. */
const maxMoves = 32;
/** Expected effects per move: IT policy, service books and synchronization of one device. */
const effectsOfMove = 3;
const allAgainMs = 1000;
/** Between two checks for devices that have connected after all, while no other is awaited. */
const outOfReachMs = 5000;
/** All moves of a domain may be out of reach: checking them takes at most a twentieth of the time. */
const lookShare = 20;

interface MovingRound {
  moved: number;
  /** Moves wait because the deliveries of earlier ones have not drained. */
  draining: boolean;
  /** There is nothing to move, and nothing is being delivered. */
  quiet: boolean;
}

/**
 * One round: reserves and moves as many as the drain window allows.
 * @param onTry is called before the first move of the round is tried.
 */
export async function moveReserved(options: MoveRunnerOptions, onTry: () => void = () => {}): Promise<MovingRound> {
  const { db, release } = options;
  const window = await options.drainWindow(db);
  const undrained = await countUndrained(db, window);
  const room = window - undrained;
  if (room <= 0) return { moved: 0, draining: true, quiet: false };
  const limit = Math.min(maxMoves, Math.ceil(room / effectsOfMove));
  const held = await options.heldUpgrade?.(db);
  const reserved = await administrationTransaction(db, release, (tx) => reserveMoves(tx, options.name, limit, held));
  if (reserved.length > 0) onTry();
  let moved = 0;
  const waiting = [...reserved];
  const lane = async () => {
    for (let move = waiting.shift(); move; move = waiting.shift()) {
      if (await moveAccount(options, move)) moved++;
    }
  };
  // The round ends only when every lane has, even if one failed: otherwise the next round would run beside it.
  const lanes = await Promise.allSettled(Array.from({ length: options.concurrency ?? 3 }, lane));
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;
  const isQuiet = reserved.length + undrained === 0 && !(await areMovesQueued(db));
  return { moved, draining: false, quiet: isQuiet };
}

/** Notes who is out of reach, and ends the moves that devices have answered. */
export async function settle(
  options: MoveRunnerOptions,
  scope: SettlingScope,
): Promise<{ settled: number; delivering: Delivering }> {
  const { db, release, outOfReachSeconds = 30 } = options;
  return await administrationTransaction(db, release, async (tx) => {
    await markOutOfReach(tx, outOfReachSeconds, scope);
    const settled = await settleMoves(tx, scope);
    return { settled, delivering: await whoIsDelivering(tx) };
  });
}

/** Moves one reserved account; `false` when it was put back, cancelled or failed. */
export async function moveAccount(options: MoveRunnerOptions, move: ReservedMove): Promise<boolean> {
  const { db, release } = options;
  try {
    let outcome = await commitUnmarked(options, move);
    if (outcome === 'held' || outcome === 'lost-reservation') {
      const fenced = await administrationTransaction(db, release, (tx) => fenceMove(tx, move));
      if (!fenced) return false;
      outcome = (await commitWithDeliveries(options, move, moveDeadlineMs)).kind;
    }
    if (outcome === 'committed') return true;
    options.log.warn({ moveId: move.moveId, outcome }, 'account not moved');
    return false;
  } catch (error) {
    if (isBrambleError(error, 'ERR_RELEASE_FENCED')) throw error;
    options.log.warn(
      { moveId: move.moveId, accountId: move.accountId, reason: messageOf(error) },
      'move failed; will retry',
    );
    await administrationTransaction(db, release, (tx) => unfenceMove(tx, move, messageOf(error), maxAttempts));
    return false;
  }
}

/**
 * The first attempt, without asking writers to back off: usually nobody blocks it for long. It is sent as a whole, so
 * that the account is held only while the database works on it, not until this process hears of it. If there is nothing
 * to commit, the longer path says why.
 */
async function commitUnmarked(options: MoveRunnerOptions, move: ReservedMove): Promise<CommittedMove['kind'] | 'held'> {
  try {
    await beginTogether(options.db, (tx) => [
      ...takeReleaseLock(tx, options.release),
      ...commitMoveOrFail(tx, move, unmarkedDeadlineMs),
      resumeForEarlierRelease(tx, move),
      options.oweDeliveries(tx, move),
    ]);
    return 'committed';
  } catch (error) {
    if (isFailedCondition(error)) return (await commitWithDeliveries(options, move, unmarkedDeadlineMs)).kind;
    // query_canceled (the deadline) and deadlock_detected, after which the transaction is rolled back too.
    if (['57014', '40P01'].includes(sqlState(error) ?? '')) return 'held';
    throw error;
  }
}

/**
 * The change of owner and what it owes in one transaction. All is sent together, since the account waits until the
 * commit; a move that turns out to be void is rolled back completely and only then cancelled.
 */
async function commitWithDeliveries(
  options: MoveRunnerOptions,
  move: ReservedMove,
  deadlineMs: number,
): Promise<CommittedMove> {
  const { db, release } = options;
  const found: { outcome?: Exclude<CommittedMove, { kind: 'committed' }> } = {};
  const notCommitted = new Error('the move is rolled back');
  try {
    return await administrationTransaction(db, release, async (tx) => {
      const [outcome] = await Promise.all([
        commitMove(tx, move, deadlineMs),
        resumeForEarlierRelease(tx, move),
        options.oweDeliveries(tx, move),
      ]);
      if (outcome.kind === 'committed') return outcome;
      found.outcome = outcome;
      throw notCommitted;
    });
  } catch (error) {
    if (error !== notCommitted || found.outcome === undefined) throw error;
  }
  if (found.outcome.kind === 'account-elsewhere') {
    await administrationTransaction(db, release, (tx) => cancelMoveElsewhere(tx, move));
  }
  return found.outcome;
}

/** Runs rounds until the signal is aborted; waits for a lost database. Moving never waits for settling. */
export async function runMoves(options: MoveRunnerOptions & { signal: AbortSignal }): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const [moving, settling] = [createBell(), createBell()];
  const unlisten = await listenForMoves(options.db, () => {
    moving.ring();
    settling.ring();
  });
  const end = (error: unknown) => {
    ending.abort();
    throw error;
  };
  try {
    await Promise.all([
      runMoving({ ...options, signal }, moving, settling).catch(end),
      runSettling({ ...options, signal }, settling).catch(end),
    ]);
  } finally {
    await unlisten().catch(() => {});
  }
}

type Running = MoveRunnerOptions & { signal: AbortSignal };

async function runMoving(options: Running, moving: Bell, settling: Bell): Promise<void> {
  const { signal, intervalMs = 200 } = options;
  let isToldOfAll = true;
  await takeTurns(moving, signal, async () => {
    const round = await unlessInterrupted(options, () =>
      moveReserved(options, () => {
        // Whatever the round's outcome: a move may be committed without this process knowing.
        isToldOfAll = false;
      }),
    );
    if (round?.quiet !== true) settling.ring();
    isToldOfAll ||= (await unlessInterrupted(options, () => tellOfMoves(options))) === true;
    if (round && round.moved > 0) return 0;
    return round?.quiet === true && isToldOfAll ? quietMs : intervalMs;
  });
}

async function tellOfMoves({ db, announce }: MoveRunnerOptions): Promise<true> {
  await announce?.(db);
  return true;
}

/** Settles awaited moves at every turn, and those out of reach when that is due. */
async function runSettling(options: Running, bell: Bell): Promise<void> {
  const { signal, intervalMs = 200 } = options;
  let allDueAt = 0;
  await takeTurns(bell, signal, async () => {
    const startedAt = performance.now();
    const isDue = startedAt >= allDueAt;
    const settling = await unlessInterrupted(options, () => settle(options, isDue ? 'all' : 'awaited'));
    const tookMs = performance.now() - startedAt;
    if (isDue) allDueAt = startedAt + Math.max(allAgainMs, lookShare * tookMs);
    const pauseMs = { awaited: intervalMs, 'out of reach': outOfReachMs, none: quietMs };
    return pauseMs[settling?.delivering ?? 'awaited'];
  });
}

/** Undefined if a round failed, other than by the release fence: nothing of it may be retried. */
async function unlessInterrupted<Result>(options: Running, work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isBrambleError(error, 'ERR_RELEASE_FENCED')) throw error;
    options.log.warn({ reason: messageOf(error) }, 'moving was interrupted; will retry');
    return undefined;
  }
}
