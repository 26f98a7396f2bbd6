/**
 * Notices that a server has vanished while a statement waits for its answer. The kernel's keepalives find that out only as
 * long as nothing sent is unacknowledged; what was sent into nothing it repeats for a quarter of an hour, and Node.js has no
 * TCP_USER_TIMEOUT. A statement may run for hours, so its duration says nothing: while nothing is received, the server is asked
 * for a sign of life in a connection of its own.
 *
 * Invariant: a session is given up only if a statement runs, nothing was received since the question, and the server had the
 * whole time for an answer. One that answers anybody at all may take as long as it likes. And
 * however many sessions of a process wait, it asks a server no more often than for two: it may be struggling as it is.
 */
import type { DatabaseHost } from '../base/database-address.ts';

export interface SilenceLimits {
  /** How often is looked whether anything was received meanwhile. */
  readonly everyMs: number;
  /** How long the server has for a sign of life. */
  readonly answerMs: number;
}

/** 10 s at most: a device's request has 30 s, and not every device waits for as long, so what is sent again is still in time. */
export const silenceLimits: SilenceLimits = { everyMs: 2000, answerMs: 6000 };

interface WatchedSession {
  readonly isBusy: () => boolean;
  /** Bytes so far. */
  readonly received: () => number;
  readonly isServerThere: (limits: SilenceLimits) => Promise<boolean>;
  readonly onVanished: () => void;
}

/** @returns what ends the watch */
export function watchSilence(session: WatchedSession, limits: SilenceLimits): () => void {
  let last = -1;
  let isAsking = false;
  let isOver = false;

  const look = async (): Promise<void> => {
    const silentSince = session.received();
    const wasSilent = silentSince === last;
    last = silentSince;
    if (!wasSilent || !session.isBusy()) return;
    const isThere = await session.isServerThere(limits);
    if (!isThere && !isOver && session.isBusy() && session.received() === silentSince) session.onVanished();
  };
  const timer = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    void look().finally(() => {
      isAsking = false;
    });
  }, limits.everyMs);
  timer.unref();
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}

/**
 * One question for all sessions that would ask the same server within half the time between two looks. A session that shares an
 * earlier one was silent since then as well, and its next look asks anew.
 */
export function createSharedQuestions(
  ask: (server: DatabaseHost, withinMs: number) => Promise<boolean>,
  nowMs: () => number,
): (server: DatabaseHost, limits: SilenceLimits) => Promise<boolean> {
  const latest = new Map<string, { askedMs: number; answer: Promise<boolean> }>();
  return async (server, { everyMs, answerMs }) => {
    const key = `${server.name}:${server.port}`;
    const known = latest.get(key);
    if (known !== undefined && nowMs() - known.askedMs < everyMs / 2) return await known.answer;
    const answer = ask(server, answerMs);
    latest.set(key, { askedMs: nowMs(), answer });
    return await answer;
  };
}
