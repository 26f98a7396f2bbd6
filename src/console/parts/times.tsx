/** Times as people read them: how long ago, and to the second when asked. */
import { useSyncExternalStore } from 'react';
import { distanceText } from '../messages/words.ts';

let now = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;

/** One clock for the whole page, which stands still while nobody looks at it. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    for (const told of listeners) told();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    window.clearInterval(timer);
    timer = undefined;
  };
}

function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });

export function clockText(at: Date | number): string {
  return clock.format(at);
}

export function dayAndClock(at: Date): string {
  return `${day.format(at)}, ${clock.format(at)}`;
}

export function Ago({ at }: { at: Date }) {
  const from = useNow();
  return (
    <time dateTime={at.toISOString()} title={full.format(at)}>
      {distanceText(at, from)}
    </time>
  );
}

/** The time of day, or the day with it for what is older than a day. */
export function Moment({ at }: { at: Date }) {
  const isToday = Date.now() - at.getTime() < 20 * 3600 * 1000;
  return (
    <time dateTime={at.toISOString()} title={full.format(at)}>
      {isToday ? clockText(at) : dayAndClock(at)}
    </time>
  );
}
