/**
 * When a dialler may connect again, as a pure rule: exponential delay with jitter after failures, and a limit on
 * short-lived connections a minute, so that a single dialler is not mistaken for two rivals.
 *
 * Invariant: breaking its links, however often, keeps a dialler away for at most `maxDelayMs` each time: a link that the
 * other side broke, or that was up long enough, does not count towards the limit.
 */

export interface ReconnectLimits {
  /** First delay after a failure. */
  initialDelayMs: number;
  /** Greatest delay between two tries after failures. */
  maxDelayMs: number;
  /** Least delay after the router refused or superseded the link: someone else has the identifier. */
  refusedDelayMs: number;
  /** Connections allowed in any minute, of those that count (`countsTowardsLimit`). */
  maxConnectsPerMinute: number;
  /** A link that was up for this long was steady: it does not count towards the limit, and delays start over. */
  steadyAfterMs: number;
}

export const defaultReconnectLimits: ReconnectLimits = {
  initialDelayMs: 100,
  maxDelayMs: 3000,
  refusedDelayMs: 15_000,
  maxConnectsPerMinute: 5,
  steadyAfterMs: 10_000,
};

/** What has happened so far. */
interface ReconnectHistory {
  /** Failures since the last link that was steady. */
  failures: number;
  /** The router said that someone else has the identifier, or that it may not link. */
  refused: boolean;
  /** When the connections that count were established, in milliseconds, oldest first. */
  connectedAt: readonly number[];
}

/** How a connection ended. */
export interface ConnectionEnd {
  /** How long it was in service; null when the router never accepted it. */
  upMs: number | null;
  /** The other side closed or broke it, or sent something unintelligible. */
  brokenByOther: boolean;
  refused: boolean;
}

/** Whether the connection counts towards the limit per minute. */
export function countsTowardsLimit(end: ConnectionEnd, limits: ReconnectLimits = defaultReconnectLimits): boolean {
  return !wasSteady(end, limits) && (end.refused || !end.brokenByOther);
}

/** Whether delays start over after it. */
export function wasSteady({ upMs }: ConnectionEnd, limits: ReconnectLimits = defaultReconnectLimits): boolean {
  return upMs !== null && upMs >= limits.steadyAfterMs;
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

/** Keeps the connections of the last minute, which is all that the rule needs. */
export function recentConnections(connectedAt: readonly number[], nowMs: number): number[] {
  return connectedAt.filter((at) => nowMs - at < 60_000);
}
