/** The progress of the open upgrade, by plain SQL, which works even while no administration service answers. */
import type { RunningDomain } from './domain.ts';

export interface UpgradeView {
  state: string;
  pauseReason: string | null;
  waitingFor: string | null;
  assigned: number;
  moved: number;
  inFlight: number;
  owed: number;
  suspects: number;
  hold: string | null;
}

export async function viewUpgrade(domain: RunningDomain): Promise<UpgradeView> {
  const [row] = await domain.sql<UpgradeView[]>`
    select u.state, u.pause_reason as "pauseReason", u.progress->>'waitingFor' as "waitingFor",
           (select count(*)::int from upgrade_assignment s where s.upgrade_id = u.id) as assigned,
           (select count(*)::int from upgrade_assignment s join account a on a.id = s.account_id
             where s.upgrade_id = u.id and a.instance_id = s.to_instance_id) as moved,
           (select count(*)::int from delivery where budgeted and state = 'handed-out') as "inFlight",
           (select count(*)::int from delivery where budgeted and state = 'suspect') as suspects,
           (select count(*)::int from delivery where state in ('owed', 'released')) as owed,
           (select string_agg(distinct reason, ', ') from delivery_hold where reason <> 'nothing') as hold
      from upgrade u order by u.created_at desc limit 1`;
  if (!row) throw new Error('there is no upgrade');
  return row;
}
