/**
 * How often lines of one kind are logged: so that strangers who are refused a thousand times a second cannot push out of the
 * log what matters. What is left out is counted.
 */
const minuteMs = 60_000;
export const linesAMinute = 100;
/** Kinds told apart; those beyond are counted as one. */
const kindsAtMost = 500;
const otherKinds = 'other kinds';

interface Pace {
  since: number;
  lines: number;
  leftOut: number;
}

export class LogPace {
  readonly #paces = new Map<string, Pace>();

  /** Whether a line of this kind is logged at `now` (milliseconds). */
  admits(kind: string, now: number): boolean {
    const known = this.#paces.has(kind) || this.#paces.size < kindsAtMost ? kind : otherKinds;
    const pace = this.#paces.get(known) ?? { since: now, lines: 0, leftOut: 0 };
    this.#paces.set(known, pace);
    if (now - pace.since >= minuteMs) {
      pace.since = now;
      pace.lines = 0;
    }
    if (pace.lines < linesAMinute) {
      pace.lines++;
      return true;
    }
    pace.leftOut++;
    return false;
  }

  /** What was left out since it was asked for last; kinds that have fallen silent are forgotten. */
  takeLeftOut(now: number): { kind: string; leftOut: number }[] {
    const taken = [...this.#paces]
      .filter(([, pace]) => pace.leftOut > 0)
      .map(([kind, { leftOut }]) => ({ kind, leftOut }));
    for (const [kind, pace] of this.#paces) {
      pace.leftOut = 0;
      if (now - pace.since >= minuteMs) this.#paces.delete(kind);
    }
    return taken;
  }
}
