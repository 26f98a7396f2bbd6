/**
 * When a dialler may connect again, as a pure rule: exponential delay with full jitter after failures, and never more
 * than a number of established connections in a minute, so that a dialler alone does not look like a flapping one.
 */

export interface ReconnectLimits {
  /** First delay after a failure. */
  initialDelayMs: number;
  /** Greatest delay between two tries after failures. */
  maxDelayMs: number;
  /** Least delay after the router refused or superseded the link: someone else has the identifier. */
  refusedDelayMs: number;
  /** Established connections in any minute. */
  maxConnectsPerMinute: number;
}

export const defaultReconnectLimits: ReconnectLimits = {
  initialDelayMs: 100,
  maxDelayMs: 3000,
  refusedDelayMs: 15_000,
  maxConnectsPerMinute: 5,
};

/** What has happened so far. */
export interface ReconnectHistory {
  /** Failures since the last link that was accepted. */
  failures: number;
  /** The router said no to the last one. */
  refused: boolean;
  /** When connections were established, milliseconds, oldest first. */
  connectedAt: readonly number[];
}

/** Milliseconds to wait before the next try. `random` is in [0, 1). */
export function reconnectDelayMs(
  history: ReconnectHistory,
  nowMs: number,
  random: number,
  limits: ReconnectLimits = defaultReconnectLimits,
): number {
  const ceiling = Math.min(limits.maxDelayMs, limits.initialDelayMs * 2 ** Math.min(history.failures - 1, 30));
  const backoffMs = history.failures === 0 ? 0 : ceiling / 2 + (random * ceiling) / 2;
  const refusedMs = history.refused ? limits.refusedDelayMs * (1 + random / 2) : 0;
  const oldest = history.connectedAt.at(-limits.maxConnectsPerMinute);
  const rateMs = oldest === undefined ? 0 : oldest + 60_000 - nowMs;
  return Math.ceil(Math.max(backoffMs, refusedMs, rateMs, 0));
}

/** The connections of the last minute: all that the rule needs. */
export function recentConnections(connectedAt: readonly number[], nowMs: number): number[] {
  return connectedAt.filter((at) => nowMs - at < 60_000);
}
