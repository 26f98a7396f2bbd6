/**
 * A loop that takes turns and rests in between: the form of all work that looks again from time to time, and at once
 * upon a notice.
 *
 * Invariant: a ring during a turn is followed by another turn without a rest, so what it announced is seen.
 */
import type { Bell } from './bell.ts';

/**
 * Takes turns until the signal is aborted. Each says how many milliseconds may pass before the next, unless the bell
 * rings: 0 for none. Rejects as soon as a turn does.
 */
export async function takeTurns(bell: Bell, signal: AbortSignal, turn: () => Promise<number>): Promise<void> {
  while (!signal.aborted) {
    const restMs = await turn();
    if (restMs > 0 && !signal.aborted) await bell.rest(restMs, signal);
  }
}
