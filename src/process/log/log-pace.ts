/**
 * Limits how often lines of one kind are logged, so that strangers who are refused a thousand times a second cannot push
 * other lines out of the log: neither those of other kinds nor those about others. Omitted lines are counted by subject.
 *
 * Invariant: at most twice `maxLinesPerMinute` lines of a kind are logged a minute, the second half only for subjects that had
 * no line yet; and memory is bounded by `maxKinds` times `maxSubjects` short texts.
 */
const minuteMs = 60_000;
export const maxLinesPerMinute = 100;
/** Of these, about one subject. */
export const maxLinesOfSubject = 10;
/** Kinds that are distinguished; all others are counted as one. */
const maxKinds = 500;
const otherKinds = 'other kinds';
/** Subjects of a kind that are distinguished in a minute; all others are counted as one. */
export const maxSubjects = 128;
const otherSubjects = 'others';
/** Subjects that a summary names, most frequent first. */
const maxNamed = 8;

interface Count {
  lines: number;
  leftOut: number;
}

interface Pace extends Count {
  since: number;
  subjects: Map<string, Count>;
}

interface LeftOut {
  kind: string;
  leftOut: number;
  /** Subjects with omitted lines; `maxSubjects` plus one if there may be more. */
  different: number;
  /** The most frequent of them, with the number of omitted lines. */
  most: Record<string, number>;
}

export class LogPace {
  readonly #paces = new Map<string, Pace>();

  /** Whether a line of this kind is logged at `now` (milliseconds); `subject` is whom it is about, '' if nobody. */
  admits(kind: string, subject: string, now: number): boolean {
    const known = this.#paces.has(kind) || this.#paces.size < maxKinds ? kind : otherKinds;
    const pace = this.#paces.get(known) ?? { since: now, lines: 0, leftOut: 0, subjects: new Map<string, Count>() };
    this.#paces.set(known, pace);
    if (now - pace.since >= minuteMs) {
      pace.since = now;
      pace.lines = 0;
      for (const [name, count] of pace.subjects) {
        if (count.leftOut === 0) pace.subjects.delete(name);
        else count.lines = 0;
      }
    }
    const about = subject === '' ? null : subjectOf(pace, subject);
    if (mayBeLogged(pace, about)) {
      pace.lines += 1;
      if (about) about.lines += 1;
      return true;
    }
    pace.leftOut += 1;
    if (about) about.leftOut += 1;
    return false;
  }

  /** What was omitted since the last call; kinds without new lines are forgotten. */
  takeLeftOut(now: number): LeftOut[] {
    const taken = [...this.#paces].filter(([, pace]) => pace.leftOut > 0).map(summaryOf);
    for (const [kind, pace] of this.#paces) {
      pace.leftOut = 0;
      for (const count of pace.subjects.values()) count.leftOut = 0;
      if (now - pace.since >= minuteMs) this.#paces.delete(kind);
    }
    return taken;
  }
}

function subjectOf(pace: Pace, subject: string): Count {
  const known = pace.subjects.has(subject) || pace.subjects.size < maxSubjects ? subject : otherSubjects;
  const count = pace.subjects.get(known) ?? { lines: 0, leftOut: 0 };
  pace.subjects.set(known, count);
  return count;
}

function mayBeLogged(pace: Pace, about: Count | null): boolean {
  if (about === null) return pace.lines < maxLinesPerMinute;
  if (about.lines >= maxLinesOfSubject) return false;
  return pace.lines < maxLinesPerMinute || (about.lines === 0 && pace.lines < 2 * maxLinesPerMinute);
}

function summaryOf([kind, pace]: [string, Pace]): LeftOut {
  const counts = [...pace.subjects]
    .map(([subject, { leftOut }]) => ({ subject, leftOut }))
    .filter((c) => c.leftOut > 0);
  const most = counts.toSorted((a, b) => b.leftOut - a.leftOut).slice(0, maxNamed);
  return {
    kind,
    leftOut: pace.leftOut,
    different: counts.length,
    most: Object.fromEntries(most.map(({ subject, leftOut }) => [subject, leftOut])),
  };
}
