/** Follows the open upgrade by plain SQL, which answers also while no administration service does. */
import { printStates, until } from '../src/testing/condition.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { type UpgradeView, viewUpgrade } from '../test/harness/upgrade-view.ts';
import { bar, type Progress } from './progress.ts';

export interface UpgradeFollower {
  /** Tells what has happened since it was last asked. */
  tellEvents(): Promise<void>;
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
    tellEvents,
    async follow(states, options) {
      let view: UpgradeView | undefined;
      await until(`the upgrade is ${states.join(' or ')}`, options.timeoutMs, async () => {
        await tellEvents();
        view = await viewUpgrade(domain);
        const held = view.hold ? `, held back by ${view.hold}` : '';
        progress.live(
          `${view.state}  ${bar(view.moved, view.assigned)} accounts  ${view.inFlight} in flight, ${view.owed} owed${held}`,
        );
        return states.includes(view.state) || options.until?.(view) === true || view.state === 'paused';
      });
      if (view === undefined) throw new Error('there is no upgrade');
      if (view.state === 'paused' && !states.includes('paused') && options.until?.(view) !== true) {
        await printStates();
        throw new Error(`the upgrade paused: ${view.pauseReason}`);
      }
      return view;
    },
  };
}
