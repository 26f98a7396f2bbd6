/** Follows the open upgrade by plain SQL, which answers also while no administration service does. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningDomain } from '../test/harness/domain.ts';
import { bar, type Progress } from './progress.ts';

export interface UpgradeView {
  state: string;
  pauseReason: string | null;
  waitingFor: string | null;
  assigned: number;
  moved: number;
  inFlight: number;
  owed: number;
  hold: string | null;
}

export async function viewUpgrade(domain: RunningDomain): Promise<UpgradeView> {
  const [row] = await domain.sql<UpgradeView[]>`
    select u.state, u.pause_reason as "pauseReason", u.progress->>'waitingFor' as "waitingFor",
           (select count(*)::int from upgrade_assignment s where s.upgrade_id = u.id) as assigned,
           (select count(*)::int from upgrade_assignment s join account a on a.id = s.account_id
             where s.upgrade_id = u.id and a.instance_id = s.to_instance_id) as moved,
           (select count(*)::int from delivery where budgeted and state = 'handed-out') as "inFlight",
           (select count(*)::int from delivery where state in ('owed', 'released')) as owed,
           (select string_agg(distinct reason, ', ') from delivery_hold where reason <> 'nothing') as hold
      from upgrade u order by u.created_at desc limit 1`;
  if (!row) throw new Error('there is no upgrade');
  return row;
}

export interface UpgradeFollower {
  /**
   * Waits until the upgrade is in one of `states` (or `until` says so), telling what happens on the way.
   * @throws Error when it pauses, or does not get there in time.
   */
  follow(
    states: readonly string[],
    options: { timeoutMs: number; until?: (view: UpgradeView) => boolean },
  ): Promise<UpgradeView>;
}

export function createFollower(domain: RunningDomain, progress: Progress): UpgradeFollower {
  let lastEvent = 0;
  const tellEvents = async () => {
    const events = await domain.sql<{ id: number; message: string }[]>`
      select id::int as id, message from upgrade_event where id > ${lastEvent} order by upgrade_event.id`;
    for (const event of events) {
      progress.say(event.message);
      lastEvent = event.id;
    }
  };
  return {
    async follow(states, options) {
      const deadline = Date.now() + options.timeoutMs;
      for (;;) {
        await tellEvents();
        const view = await viewUpgrade(domain);
        const held = view.hold ? `, held back by ${view.hold}` : '';
        progress.live(
          `${view.state}  ${bar(view.moved, view.assigned)} accounts  ${view.inFlight} in flight, ${view.owed} owed${held}`,
        );
        if (states.includes(view.state) || options.until?.(view)) return view;
        if (view.state === 'paused') throw new Error(`the upgrade paused: ${view.pauseReason}`);
        if (Date.now() > deadline) {
          throw new Error(`the upgrade did not get to ${states.join(' or ')}: ${JSON.stringify(view)}`);
        }
        await delay(100);
      }
    },
  };
}
