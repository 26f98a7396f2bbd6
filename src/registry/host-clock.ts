/** How far a host's clock differs from the database's, which decides about leases and the order of things. */
import type { Queryable } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import { listComponents } from './components.ts';

/**
 * Milliseconds that the clock is certainly ahead of the database's, negative if it is behind. The database's was read
 * some time between question and answer, so a difference within that time is none.
 */
export async function readClockAheadMs(q: Queryable, now: () => number = Date.now): Promise<number> {
  const asked = now();
  const there = (await databaseTime(q)).getTime();
  const answered = now();
  if (there < asked) return asked - there;
  return Math.min(0, answered - there);
}

/** Certificates are valid from five minutes before they are issued: a tenth of that is noticed in time. */
export const wrongClockSeconds = 30;

export function isClockWrong(aheadMs: number | null): aheadMs is number {
  return Math.abs(aheadMs ?? 0) > wrongClockSeconds * 1000;
}

/** Of each host that has a component at work, milliseconds ahead of the database's clock; null where none of them says. */
export async function listHostClocks(q: Queryable): Promise<Map<string, number | null>> {
  const clocks = new Map<string, number | null>();
  for (const { alive, host, detail } of await listComponents(q)) {
    if (!alive) continue;
    const aheadMs = detail['clockAheadMs'];
    clocks.set(host, further(clocks.get(host) ?? null, typeof aheadMs === 'number' ? aheadMs : null));
  }
  return clocks;
}

function further(one: number | null, other: number | null): number | null {
  return Math.abs(other ?? 0) > Math.abs(one ?? 0) ? other : (one ?? other);
}

/** *40 s ahead*. */
export function aheadText(aheadMs: number): string {
  return `${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead' : 'behind'}`;
}

/** *is 40 s ahead of the database’s*. */
export function clockText(aheadMs: number): string {
  return `is ${aheadText(aheadMs)}${aheadMs > 0 ? ' of' : ''} the database’s`;
}
