/**
 * Looks for what happened, again and again: rests until something is told, a few seconds at most, and less while an older
 * transaction holds events back, as nobody tells when that ends.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { RecentEvents, StreamedEvent, StreamPlace } from './recent-events.ts';

/** What is read of the domain. */
export interface EventSource {
  readLast(limit: number): Promise<{ stream: string; events: readonly StreamedEvent[]; end: StreamPlace }>;
  readAfter(
    place: StreamPlace,
    limit: number,
  ): Promise<{ events: readonly StreamedEvent[]; end: StreamPlace; heldSince: Date | null }>;
}

interface EventLookParts {
  readonly source: Pick<EventSource, 'readAfter'>;
  readonly recent: RecentEvents;
  readonly tellEvent: (event: StreamedEvent) => void;
  /** Called when that changes: since when what happens is told late, or null. */
  readonly tellBehind: (since: Date | null) => void;
  readonly log: { warn(fields: object, message: string): void };
  readonly clock?: Clock;
}

const perLook = 500;
/** A notice may be lost. */
const lookMs = 5000;
/** After a failure, and at most while events are held back. */
const retryAgainMs = 1000;
const firstRetryMs = 20;
/** What takes no longer is not worth a word. */
const behindMs = 2000;

/** A turn of looking; it says after how many milliseconds the next one is due. Never rejects. */
export function eventLook(parts: EventLookParts): () => Promise<number> {
  const { source, recent, tellEvent, tellBehind, log, clock = systemClock } = parts;
  let retryMs = firstRetryMs;
  let isBehind = false;
  let failingSince: number | undefined;

  function setBehind(since: Date | null): void {
    if (isBehind === (since !== null)) return;
    isBehind = since !== null;
    tellBehind(since);
  }

  async function look(): Promise<number> {
    const { events, end, heldSince } = await source.readAfter(recent.end, perLook);
    for (const event of events) {
      recent.take(event);
      tellEvent(event);
    }
    if (events.length === perLook) return 0;
    recent.reach(end);
    if (heldSince === null) {
      setBehind(null);
      retryMs = firstRetryMs;
      return lookMs;
    }
    retryMs = Math.min(retryAgainMs, 2 * retryMs);
    if (retryMs === retryAgainMs) setBehind(heldSince);
    return retryMs;
  }

  return async () => {
    try {
      const restMs = await look();
      failingSince = undefined;
      return restMs;
    } catch (error) {
      if (failingSince === undefined) log.warn({ error: messageOf(error) }, 'events cannot be read; will retry');
      failingSince ??= clock.now();
      if (clock.now() - failingSince >= behindMs) setBehind(new Date(failingSince));
      return retryAgainMs;
    }
  };
}
