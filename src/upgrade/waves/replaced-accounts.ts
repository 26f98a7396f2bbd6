/** The accounts of a wave in place: those at its instances now. Nothing is assigned, since no account moves. */
import type { Queryable } from '../../database/connection.ts';
import type { Upgrade } from '../state/upgrade-store.ts';

/** How many there are, and how many of them are at an instance that is at work in the new release. */
export async function countReplacedAccounts(
  q: Queryable,
  { progress }: Pick<Upgrade, 'progress'>,
  wave: number,
): Promise<{ accounts: number; settled: number }> {
  const own = progress.replacements.filter((each) => each.wave === wave);
  const idsOf = (some: typeof own) => some.map(({ instanceId }) => instanceId);
  const [row] = await q<{ accounts: number; settled: number }[]>`
    select count(*)::int as accounts,
           (count(*) filter (where instance_id = any(${idsOf(own.filter(({ atWorkAt }) => atWorkAt !== undefined))}::uuid[])))::int
             as settled
      from account where instance_id = any(${idsOf(own)}::uuid[])`;
  return row ?? { accounts: 0, settled: 0 };
}
