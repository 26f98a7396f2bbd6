/**
 * LISTEN that survives its session: notifications only bring a poll forward, so a lost one costs time, and reconnecting is
 * retried for as long as there is a listener.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { openSession, type Session } from './session.ts';

export interface ListenOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly channel: string;
  readonly onNotify: (payload: string) => void;
  /** Each time that it listens anew. */
  readonly onListen?: (() => void) | undefined;
  /** Ends it, as `unlisten` does. */
  readonly signal: AbortSignal;
}

const retryMs = 500;

/** Resolves as soon as it listens, or at once where the database does not answer: it goes on trying. */
export async function listenAlways(options: ListenOptions): Promise<{ unlisten(): Promise<void> }> {
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const first = Promise.withResolvers<void>();
  const running = (async () => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const session = await listen(options, attempt, signal).catch(() => undefined);
      first.resolve();
      await session?.lost;
      session?.close();
      await delay(retryMs, undefined, { signal }).catch(() => {});
    }
  })();
  await first.promise;
  return {
    unlisten: async () => {
      ending.abort();
      await running;
    },
  };
}

async function listen(options: ListenOptions, attempt: number, signal: AbortSignal): Promise<Session> {
  const session = await openSession(options.url, {
    applicationName: options.applicationName,
    attempt,
    signal,
    onNotify: (channel, payload) => {
      if (channel === options.channel) options.onNotify(payload);
    },
  });
  try {
    await session.run((sql) => sql.unsafe(`listen "${options.channel.replaceAll('"', '""')}"`));
  } catch (error) {
    session.close();
    throw error;
  }
  options.onListen?.();
  return session;
}
