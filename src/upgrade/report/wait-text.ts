/** Waits in words, for a terminal: what and why, who, since and until when, and what to type. */
import { timesInText, timeText } from '../../base/time-text.ts';
import type { Wait } from './wait.ts';

/** As it comes from REST, where times are text. */
type ShownWait = Omit<Wait, 'since' | 'until' | 'what'> & {
  readonly what: string;
  readonly since: Date | string | null;
  readonly until: Date | string | null;
};

export function waitLines(waits: readonly ShownWait[]): string[] {
  return waits.flatMap(({ what, why, who, since, until, command }) => {
    const times = [since && `since ${timeText(since)}`, until && untilText(what, until)].filter(Boolean);
    return [
      `  ${what}: ${timesInText(why)}${times.length === 0 ? '' : ` (${times.join(', ')})`}`,
      ...(who.length === 0 ? [] : [`    ${who.join(', ')}`]),
      ...(command === null ? [] : [`    → ${command}`]),
    ];
  });
}

/** An undecided gate prolongs the observation of its wave. */
function untilText(what: string, until: Date | string): string {
  if (what === 'window') return `opens at ${timeText(until)}`;
  return what === 'soak' ? `at least until ${timeText(until)}` : `until ${timeText(until)} at the latest`;
}
