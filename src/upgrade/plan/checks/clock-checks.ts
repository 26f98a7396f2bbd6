/** The check for clocks that differ: this host's, and those that other hosts' components report. */
import type { Database } from '../../../database/connection.ts';
import { listComponents } from '../../../registry/components.ts';
import { readClockAheadMs } from '../../../registry/host-clock.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

/** Certificates are valid from five minutes before they are issued: a tenth of that is noticed in time. */
const mostSeconds = 30;

/** By host, milliseconds ahead of the database's clock; null where none of its components says. */
async function readClocks(db: Database, host: string): Promise<Map<string, number | null>> {
  const clocks = new Map<string, number | null>();
  for (const { alive, host: place, detail } of await listComponents(db)) {
    if (!alive) continue;
    const aheadMs = detail['clockAheadMs'];
    clocks.set(place, further(clocks.get(place) ?? null, typeof aheadMs === 'number' ? aheadMs : null));
  }
  return clocks.set(host, await readClockAheadMs(db));
}

function further(one: number | null, other: number | null): number | null {
  return Math.abs(other ?? 0) > Math.abs(one ?? 0) ? other : (one ?? other);
}

export async function checkClocks({ db, host }: Pick<CheckOptions, 'db' | 'host'>): Promise<Finding> {
  const clocks = [...(await readClocks(db, host))];
  const off = clocks.flatMap(([name, aheadMs]) =>
    aheadMs === null || Math.abs(aheadMs) <= mostSeconds * 1000 ? [] : [`${name} ${aheadText(aheadMs)}`],
  );
  const unknown = clocks.flatMap(([name, aheadMs]) => (aheadMs === null ? [name] : []));
  const unsaid = unknown.length === 0 ? '' : ` Not known: ${unknown.join(', ')}.`;
  if (off.length > 0) {
    return warning(
      `Clocks differ from the database’s by more than ${mostSeconds} s: ${off.join(', ')}. What is issued by a clock that ` +
        `is minutes ahead is not valid elsewhere yet. Have them set by NTP, and start the upgrade again.${unsaid}`,
    );
  }
  return passed(`no clock differs from the database’s by more than ${mostSeconds} s.${unsaid}`.replace(/\.$/, ''));
}

function aheadText(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return `is ${seconds} s ${aheadMs > 0 ? 'ahead' : 'behind'}`;
}
