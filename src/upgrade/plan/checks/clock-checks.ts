/** The check for clocks that differ: this host's, and those that other hosts' components report. */
import {
  aheadText,
  isClockWrong,
  listHostClocks,
  readClockAheadMs,
  wrongClockSeconds,
} from '../../../registry/host-clock.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

export async function checkClocks({ db, host }: Pick<CheckOptions, 'db' | 'host'>): Promise<Finding> {
  const clocks = [...(await listHostClocks(db)).set(host, await readClockAheadMs(db))];
  const off = clocks.flatMap(([name, aheadMs]) => (isClockWrong(aheadMs) ? [`${name} is ${aheadText(aheadMs)}`] : []));
  const unknown = clocks.flatMap(([name, aheadMs]) => (aheadMs === null ? [name] : []));
  const unsaid = unknown.length === 0 ? '' : ` Not known: ${unknown.join(', ')}.`;
  if (off.length > 0) {
    return warning(
      `Clocks differ from the database’s by more than ${wrongClockSeconds} s: ${off.join(', ')}. By more than five minutes, ` +
        `routers there refuse what is valid. Have them set by NTP, and start the upgrade again.${unsaid}`,
    );
  }
  return passed(
    `no clock differs from the database’s by more than ${wrongClockSeconds} s.${unsaid}`.replace(/\.$/, ''),
  );
}
