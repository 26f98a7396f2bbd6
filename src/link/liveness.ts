/**
 * Whether the other end of an HTTP/2 session is alive: pings with a bounded answer time. TCP alone notices a vanished
 * peer after many minutes.
 */
import type { Http2Session } from 'node:http2';

export interface LivenessTimes {
  intervalMs: number;
  /** A ping not answered within this time means dead. */
  timeoutMs: number;
}

export const defaultLivenessTimes: LivenessTimes = { intervalMs: 2000, timeoutMs: 5000 };

/** Resolves to whether the peer answered one ping within `timeoutMs`. Never rejects. */
export function isAlive(session: Http2Session, timeoutMs: number): Promise<boolean> {
  if (session.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    const settle = (alive: boolean) => {
      clearTimeout(timer);
      resolve(alive);
    };
    try {
      // False means too many pings without an answer: the earlier ones decide.
      session.ping((error) => settle(error === null));
    } catch {
      settle(false);
    }
  });
}

/** Pings until the session closes; destroys it when an answer is overdue, after calling `onDead`. */
export function watchLiveness(session: Http2Session, times: LivenessTimes, onDead: () => void): void {
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    timer = setTimeout(check, times.intervalMs);
  };
  const check = async () => {
    if (await isAlive(session, times.timeoutMs)) {
      if (!session.destroyed) next();
    } else if (!session.destroyed) {
      onDead();
      session.destroy();
    }
  };
  session.once('close', () => clearTimeout(timer));
  next();
}
