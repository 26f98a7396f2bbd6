/**
 * Whether the other end of an HTTP/2 session is alive, by pings. TCP alone notices a vanished peer only after many
 * minutes, and a process whose event loop is busy with one long task is not dead.
 *
 *   alive ⇄ stalled (silent for a while: nothing new is sent there) → dead (stalled for long: the session is destroyed)
 *
 * Invariant: silence is counted in turns of our own timer. Time in which our own event loop was blocked counts as one
 * turn, and so is never held against the peer.
 */
import type { Http2Session } from 'node:http2';

export interface LivenessTimes {
  /** Between two pings; also the unit in which silence is counted. */
  intervalMs: number;
  /** Silent for this long means stalled. */
  stalledAfterMs: number;
  /** Stalled for this long means dead. */
  deadAfterMs: number;
}

export const defaultLivenessTimes: LivenessTimes = { intervalMs: 2000, stalledAfterMs: 5000, deadAfterMs: 30_000 };

interface LivenessNotices {
  /** Once for each stall. */
  onStalled: () => void;
  onRecovered: () => void;
  /** The session is destroyed next. */
  onDead: () => void;
}

/** Resolves to whether the peer answered one ping within `timeoutMs`. Never rejects. */
export function answersWithin(session: Http2Session, timeoutMs: number): Promise<boolean> {
  if (session.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    const settle = (alive: boolean) => {
      clearTimeout(timer);
      resolve(alive);
    };
    try {
      session.ping((error) => settle(error === null));
    } catch {
      settle(false);
    }
  });
}

/** Watches until the session closes. A session whose socket is dead closes by itself, and at once. */
export function watchLiveness(session: Http2Session, times: LivenessTimes, notices: LivenessNotices): void {
  let silentMs = 0;
  let stalled = false;
  let asked = false;
  const ask = () => {
    asked = true;
    try {
      session.ping((error) => {
        asked = false;
        // Too many other pings are outstanding: treated as no answer, and the next turn asks again.
        if (error === null) onAnswer();
      });
    } catch {
      asked = false;
    }
  };
  const onAnswer = () => {
    silentMs = 0;
    if (!stalled) return;
    stalled = false;
    notices.onRecovered();
  };
  const turns = setInterval(() => {
    if (session.destroyed) return;
    silentMs += times.intervalMs;
    if (!asked) ask();
    if (!stalled && silentMs >= times.stalledAfterMs) {
      stalled = true;
      notices.onStalled();
    } else if (stalled && silentMs >= times.stalledAfterMs + times.deadAfterMs) {
      clearInterval(turns);
      notices.onDead();
      session.destroy();
    }
  }, times.intervalMs);
  session.once('close', () => clearInterval(turns));
}
