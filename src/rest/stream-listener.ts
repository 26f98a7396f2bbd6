/**
 * One who listens to a stream, and how far it was told.
 *
 * Invariant: it is told every event after the place that it began at, in order and once, or `reset`. While it does not take
 * what it is told nothing is kept for it: it is told later what everybody remembers.
 */
import type { StreamMessage, StreamTopic } from '../api/event-stream.ts';
import { streamText } from '../api/event-stream.ts';
import type { RecentEvents, StreamedEvent } from './recent-events.ts';

export interface Subscriber {
  /** Whose it is: so many of one are open at most. */
  readonly owner: string;
  /** What he may do, in a form that `readLost` knows: while it holds, so does the stream. */
  readonly standing: string;
  readonly topics: ReadonlySet<StreamTopic>;
  /** Takes text of the stream, or not: then `drained` is to be called once it can. Must not wait. */
  tell(text: string): boolean;
  /** Nothing more comes. */
  end(): void;
}

export interface StreamListener {
  /** Tells what is since the place, and that it is live from here on. */
  begin(after: string | null): void;
  /** A message for all who listen to its topic. */
  hear(message: StreamMessage, text: string): void;
  drained(): void;
}

export function createListener(
  subscriber: Subscriber,
  recent: RecentEvents,
  say: (kind: 'ready' | 'reset') => StreamMessage,
): StreamListener {
  const { topics } = subscriber;
  let place = recent.idOf(recent.end);
  let takes = true;
  let missedMore = false;
  let isReady = false;

  function tell(message: StreamMessage, text = streamText(message)): void {
    if (takes) takes = subscriber.tell(text);
    if (takes) place = message.id ?? place;
    else if (message.id === null) missedMore = true;
  }

  function catchUp(): void {
    const missed = missedMore ? undefined : topics.has('events') ? recent.since(place) : [];
    if (missed === undefined) tell(say('reset'));
    if (takes) missedMore = false;
    for (const event of missed ?? []) if (takes) tell(eventMessage(recent, event));
    if (!takes || isReady) return;
    isReady = true;
    tell(say('ready'));
  }

  return {
    begin: (after) => {
      place = after ?? place;
      catchUp();
    },
    hear: (message, text) => {
      const { topic } = message;
      if (topic === 'stream' || topics.has(topic as StreamTopic)) tell(message, text);
    },
    drained: () => {
      if (takes) return;
      takes = true;
      catchUp();
    },
  };
}

export function eventMessage(recent: RecentEvents, event: StreamedEvent): StreamMessage {
  const { at, kind, subject, message, id } = event;
  return { id: recent.idOf(event), topic: 'events', at, kind, subject, message, event: Number(id) };
}
