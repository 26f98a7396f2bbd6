/**
 * One look at the database for all streams of a process: what happens is read once, upon a notice and every few
 * seconds besides, and told to everybody who listens.
 *
 * Invariants: while nobody listens, nothing is asked. A stream costs the database nothing of its own. A stream is told every
 * event after the place that it began at, in order and once, or that it missed something (`reset`).
 */
import {
  type StreamKind,
  type StreamMessage,
  type StreamTopic,
  streamText,
  streamTopics,
} from '../api/event-stream.ts';
import { type Bell, createBell } from '../base/bell.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { type EventSource, eventLook } from './event-look.ts';
import { createRecentEvents, type RecentEvents, type StreamedEvent } from './recent-events.ts';
import { createListener, eventMessage, type StreamListener, type Subscriber } from './stream-listener.ts';
import { type Marks, type TopicLook, topicLook } from './topic-look.ts';

export interface StreamSource extends EventSource {
  /** Rings when events were written. */
  ringAtEvents(bell: Pick<Bell, 'ring'>): Promise<{ unlisten(): Promise<void> }>;
  readMarks(topics: readonly StreamTopic[]): Promise<Marks>;
  /** Those standings that do not hold any more. */
  readLost(standings: readonly string[]): Promise<ReadonlySet<string>>;
}

export interface StreamHub {
  /**
   * Tells what happened since, and from then on what happens, until it is left.
   * @param after the id of the last message that was received; null to begin now
   * @throws BrambleError ERR_BUSY when too many are open; whatever keeps events from being read
   */
  open(subscriber: Subscriber, after: string | null): Promise<void>;
  leave(subscriber: Subscriber): void;
  /** It takes again what it is told. */
  drained(subscriber: Subscriber): void;
  /** Ends all streams, and every one that is opened from now on. */
  close(): Promise<void>;
}

interface StreamLimits {
  readonly perProcess: number;
  readonly perOwner: number;
}

interface HubOptions {
  readonly source: StreamSource;
  readonly log: { warn(fields: object, message: string): void };
  readonly clock?: Clock;
  readonly limits?: StreamLimits;
}

const defaultLimits: StreamLimits = { perProcess: 1000, perOwner: 50 };
/** Events that an interrupted stream is told of; beyond, it has to look at everything again. */
const remembered = 1000;
const aroundMs = 1000;
/**
 * Proxies close a connection on which nothing is sent. Who is limited to groups is told at each beat to look again, whatever has
 * changed: when something does is not theirs to know, as it may be others'.
 */
const heartbeatMs = 15_000;

const seesAll = ({ groups }: Subscriber) => groups === null;

/** What is under way while somebody listens. */
interface Watch {
  readonly recent: Promise<RecentEvents>;
  readonly topics: TopicLook;
  /** Resolves after a look that begins later than the call. */
  lookAgain(): Promise<void>;
  end(): Promise<void>;
}

export function createStreamHub(options: HubOptions): StreamHub {
  const { source, log, clock = systemClock, limits = defaultLimits } = options;
  const opened = new Set<Subscriber>();
  /** Those of them that have begun. */
  const live = new Map<Subscriber, StreamListener>();
  let watching: Watch | undefined;
  let behindSince: Date | null = null;
  let retries = 0;
  let closed = false;

  function tell(message: StreamMessage): void {
    const text = streamText(message);
    for (const each of live.values()) each.hear(message, text);
  }

  function tellEvent(event: StreamedEvent, message: StreamMessage): void {
    const text = streamText(message);
    for (const each of live.values()) each.hearOf(event, message, text);
  }

  function tellChanged(topic: StreamTopic, isTold: (subscriber: Subscriber) => boolean): void {
    const message: StreamMessage = { id: null, topic, at: new Date(clock.now()), kind: 'changed' };
    const text = streamText(message);
    for (const [subscriber, listener] of live) if (isTold(subscriber)) listener.hear(message, text);
  }

  const topicsWanted = () => new Set([...opened].filter(seesAll).flatMap((each) => [...each.topics]));

  /** Who listens may still do so, and what has changed. A look that fails tells nothing; that of events says so. */
  async function lookAround(topics: TopicLook): Promise<number> {
    try {
      const lost = await source.readLost([...new Set([...opened].map(({ standing }) => standing))]);
      for (const each of opened) if (lost.has(each.standing)) dismiss(each);
      for (const topic of await topics.look(topicsWanted())) tellChanged(topic, seesAll);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'who listens, and what has changed, cannot be read; will retry');
    }
    return aroundMs;
  }

  function dismiss(subscriber: Subscriber): void {
    if (live.has(subscriber)) subscriber.tell(streamText(ofTheStream('ended')));
    subscriber.end();
    leave(subscriber);
  }

  const ofTheStream = (kind: StreamKind, at = new Date(clock.now()), id: string | null = null): StreamMessage => {
    return { id, topic: 'stream', at, kind };
  };
  /** Spread, so that not all come back at the same moment. */
  const retryText = () => `retry: ${1000 + (retries++ % 16) * 125}\n\n`;

  function watch(): Watch {
    const ending = new AbortController();
    const { signal } = ending;
    const bell = createBell(clock);
    const listening = source.ringAtEvents(bell);
    const recent = listening.then(async () => createRecentEvents(await source.readLast(remembered), remembered));
    const topics = topicLook((wanted) => source.readMarks(wanted));
    let looked = Promise.withResolvers<void>();
    const working = recent.then(async (events) => {
      const look = eventLook({
        ...{ source, recent: events, log, clock },
        tellEvent: (event) => tellEvent(event, eventMessage(events, event)),
        tellBehind: (since) => {
          behindSince = since;
          tell(ofTheStream(since === null ? 'current' : 'behind', since ?? undefined));
        },
      });
      const turn = async (): Promise<number> => {
        const restMs = await look();
        looked.resolve();
        if (!signal.aborted) looked = Promise.withResolvers();
        return restMs;
      };
      const around = takeTurns(createBell(clock), signal, async () => await lookAround(topics));
      await Promise.all([takeTurns(bell, signal, turn), around, beat(signal)]);
    });
    // Who opened a stream is told why.
    working.catch(() => {});
    return {
      recent,
      topics,
      lookAgain: async () => {
        for (let turn = 0; turn < 2; turn++) {
          bell.ring();
          await looked.promise;
        }
      },
      end: async () => {
        ending.abort();
        looked.resolve();
        await Promise.allSettled([working, listening.then(async (each) => await each.unlisten())]);
      },
    };
  }

  async function beat(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(heartbeatMs, signal).catch(() => {});
      if (signal.aborted) return;
      for (const each of live.keys()) each.tell(': still here\n\n');
      for (const topic of streamTopics) if (topic !== 'events') tellChanged(topic, (each) => !seesAll(each));
    }
  }

  function admit(subscriber: Subscriber): void {
    const own = [...opened].filter((each) => each.owner === subscriber.owner).length;
    if (opened.size < limits.perProcess && own < limits.perOwner) return;
    throw new BrambleError(
      'ERR_BUSY',
      own < limits.perOwner
        ? `This service has ${opened.size} streams open, and opens no more. Ask another one, or later.`
        : `You have ${own} streams open, and no more may be: close one first. One stream is enough for a page or a program.`,
    );
  }

  /** Nothing can happen between what was missed and what follows. */
  function begin(subscriber: Subscriber, recent: RecentEvents, after: string | null): void {
    const say = (kind: StreamKind) => ofTheStream(kind, undefined, recent.idOf(recent.end));
    const listener = createListener(subscriber, recent, say);
    live.set(subscriber, listener);
    subscriber.tell(retryText());
    listener.begin(after);
    if (behindSince === null) return;
    const behind = ofTheStream('behind', behindSince);
    listener.hear(behind, streamText(behind));
  }

  function endWith(subscriber: Subscriber): void {
    subscriber.tell(retryText() + streamText(ofTheStream('closing')));
    subscriber.end();
  }

  function leave(subscriber: Subscriber): void {
    live.delete(subscriber);
    if (opened.delete(subscriber) && opened.size === 0) void rest();
  }

  async function rest(): Promise<void> {
    const ended = watching?.end();
    watching = undefined;
    behindSince = null;
    await ended;
  }

  return {
    open: async (subscriber, after) => {
      if (closed) return endWith(subscriber);
      admit(subscriber);
      opened.add(subscriber);
      try {
        watching ??= watch();
        const recent = await watching.recent;
        // Another service may have told it, which has looked later.
        if (after !== null && recent.isAhead(after)) await watching?.lookAgain();
        if (seesAll(subscriber)) await watching?.topics.begin(subscriber.topics);
        if (closed) endWith(subscriber);
        else if (opened.has(subscriber)) begin(subscriber, recent, after);
      } catch (error) {
        leave(subscriber);
        throw error;
      }
    },
    leave,
    drained: (subscriber) => live.get(subscriber)?.drained(),
    close: async () => {
      closed = true;
      for (const each of live.keys()) endWith(each);
      live.clear();
      opened.clear();
      await rest();
    },
  };
}
