/**
 * One who listens to a stream, and how far it was told.
 *
 * Invariants: it is told every event after the place that it began at, in order and once, or `reset`. While it does not take
 * what it is told nothing is kept for it: it is told later what everybody remembers. Who is limited to groups is told of an event only if
 * every account that it speaks of was in one of them when it happened.
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
  /** The groups that he is limited to; null if he is not. */
  readonly groups: readonly string[] | null;
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
  /** The same about an event, for those who may see it. */
  hearOf(event: StreamedEvent, message: StreamMessage, text: string): void;
  drained(): void;
}

export function createListener(
  subscriber: Subscriber,
  recent: RecentEvents,
  say: (kind: 'ready' | 'reset') => StreamMessage,
): StreamListener {
  const { topics, groups } = subscriber;
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
    for (const event of missed ?? []) if (takes && sees(event)) tell(eventMessage(recent, event));
    if (!takes || isReady) return;
    isReady = true;
    tell(say('ready'));
  }

  function sees({ groups: speaksOf = [] }: StreamedEvent): boolean {
    if (groups === null) return true;
    return speaksOf.length > 0 && speaksOf.every((ofOne) => ofOne.some((group) => groups.includes(group)));
  }

  function hear(message: StreamMessage, text: string): void {
    const { topic } = message;
    if (topic === 'stream' || topics.has(topic as StreamTopic)) tell(message, text);
  }

  return {
    begin: (after) => {
      place = after ?? place;
      // Who was in a group when something happened may have left it since: what was missed is looked at anew.
      missedMore = after !== null && groups !== null;
      catchUp();
    },
    hear,
    hearOf: (event, message, text) => {
      if (sees(event)) hear(message, text);
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
