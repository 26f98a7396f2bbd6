/**
 * Instances that moves of the upgrade are to go to and that are not at work, as when their host was cut off: devices that are being
 * served would be told to come later. One that takes nobody any more holds nobody back.
 */
import type { UpgradeId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import { type AbsentProcess, listAbsent } from '../components/absent-processes.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { listAwaitedDestinations, listDestinations } from '../state/wave-accounts.ts';

/** Of these instances. Only while one is not at work is the queue looked through for moves to it. */
export async function listAbsentDestinations(
  q: Queryable,
  id: UpgradeId,
  names: readonly string[],
): Promise<AbsentProcess[]> {
  const absent = await listAbsent(q, names);
  if (absent.length === 0) return [];
  const awaited = await listAwaitedDestinations(
    q,
    id,
    absent.map(({ name }) => name),
  );
  return absent.filter(({ name }) => awaited.includes(name));
}

/** Of the instances that serve the accounts of the wave, or will, or of all new ones: while one is away, neither its devices nor its gate say anything. */
export async function listAbsentFromWave(
  q: Queryable,
  { id, plan, progress }: Upgrade,
  wave: number | null,
): Promise<AbsentProcess[]> {
  if (plan.inPlace) {
    const replaced = progress.replacements.filter((each) => each.wave === (wave ?? each.wave));
    return await listAbsent(
      q,
      replaced.flatMap(({ processes }) => processes),
    );
  }
  const all = progress.newInstances.map(({ name }) => name);
  return await listAbsent(q, wave === null ? all : await listDestinations(q, id, wave));
}
