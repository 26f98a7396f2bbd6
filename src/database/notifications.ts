/**
 * LISTEN that survives its session, on one connection for all channels of a process. Notifications only bring a look
 * forward: after each gap, listeners are notified once more, since notifications sent meanwhile are lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { openSession, type Session } from './session.ts';

interface ListenerOptions {
  readonly url: string;
  readonly applicationName: string;
  /** Ends all of it. */
  readonly signal: AbortSignal;
}

interface Listener {
  /**
   * Resolves as soon as it listens, or at once if the database does not answer, in which case it keeps trying.
   * `onListen` is called each time that it starts listening; after a gap `onNotify` is too, with an empty payload.
   */
  listen(
    channel: string,
    onNotify: (payload: string) => void,
    onListen?: () => void,
  ): Promise<{ unlisten(): Promise<void> }>;
}

interface Subscriber {
  readonly channel: string;
  readonly onNotify: (payload: string) => void;
  readonly onListen: (() => void) | undefined;
}

const retryMs = 500;

/** Connects when the first one listens, and closes when the last one has left. */
export function createListener(options: ListenerOptions): Listener {
  const subscribers = new Set<Subscriber>();
  let keeping: { ending: AbortController; running: Promise<void>; tried: Promise<void> } | undefined;
  let current: Session | undefined;

  /** @throws whatever prevents it, after closing the session */
  async function open(attempt: number, signal: AbortSignal): Promise<Session> {
    const session = await openSession(options.url, {
      applicationName: options.applicationName,
      signal,
      onNotify: (channel, payload) => {
        for (const each of subscribers) if (each.channel === channel) each.onNotify(payload);
      },
    });
    try {
      const told: Subscriber[] = [];
      // Listeners added meanwhile are included.
      for (const each of subscribers) {
        await listenIn(session, each.channel);
        told.push(each);
      }
      current = session;
      for (const each of told) tell(each, attempt > 0);
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  function keep(): NonNullable<typeof keeping> {
    const ending = new AbortController();
    const signal = AbortSignal.any([options.signal, ending.signal]);
    const tried = Promise.withResolvers<void>();
    const running = (async () => {
      for (let attempt = 0; !signal.aborted; attempt++) {
        const session = await open(attempt, signal).catch(() => undefined);
        tried.resolve();
        await session?.lost;
        if (current === session) current = undefined;
        session?.close();
        await delay(retryMs, undefined, { signal }).catch(() => {});
      }
      tried.resolve();
    })();
    return { ending, running, tried: tried.promise };
  }

  async function leave(subscriber: Subscriber): Promise<void> {
    if (!subscribers.delete(subscriber) || subscribers.size > 0 || keeping === undefined) return;
    const { ending, running } = keeping;
    keeping = undefined;
    ending.abort();
    await running;
  }

  return {
    async listen(channel, onNotify, onListen) {
      const subscriber = { channel, onNotify, onListen };
      subscribers.add(subscriber);
      const session = current;
      if (session === undefined || session.isLost()) {
        keeping ??= keep();
        await keeping.tried;
      } else {
        // A session that is lost meanwhile has a successor, which listens for this one too.
        await listenIn(session, channel).then(
          () => tell(subscriber, false),
          () => {},
        );
      }
      return { unlisten: async () => await leave(subscriber) };
    },
  };
}

async function listenIn(session: Session, channel: string): Promise<void> {
  await session.run((sql) => sql.unsafe(`listen "${channel.replaceAll('"', '""')}"`));
}

function tell(subscriber: Subscriber, afterGap: boolean): void {
  subscriber.onListen?.();
  if (afterGap) subscriber.onNotify('');
}
