/**
 * How long a move may hold an account, and how long what was asked for the account is tried meanwhile.
 *
 * Invariant: patience outlasts a move's longest hold. Usually that is some milliseconds, but where processors are scarce the mover
 * may not come to its commit for a second: no device is told to come later because its account moves.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** The longest that a move may keep its account's writers waiting. */
export const moveDeadlineMs = 3000;

const movingPatienceMs = 2 * moveDeadlineMs;
const firstRetryMs = 1;
/** The first retries come soon, and none is late by more than an eighth of what was waited, or by this. */
const soonMs = 8;

/**
 * Makes the attempt again as long as its outcome is `moving`, with pauses of `patienceMs` in all. An attempt with this outcome has
 * written nothing.
 */
export async function patientWithMoves<Outcome extends { readonly kind: string }>(
  attempt: () => Promise<Outcome>,
  patienceMs = movingPatienceMs,
): Promise<Outcome> {
  let outcome = await attempt();
  let waitedMs = 0;
  for (let retryMs = firstRetryMs; outcome.kind === 'moving' && waitedMs < patienceMs; ) {
    await delay(retryMs);
    outcome = await attempt();
    waitedMs += retryMs;
    retryMs = Math.min(2 * retryMs, Math.max(soonMs, waitedMs / 8));
  }
  return outcome;
}
