/** What is looked at of an upgrade: whether it does not come to its end, for days; and whether a blocked fence is over with it. */
import type { Database } from '../database/connection.ts';
import { readHaltedSince } from '../upgrade/state/awaited-decision.ts';
import { isReversible } from '../upgrade/state/upgrade-states.ts';
import { readOpenUpgrade, type Upgrade } from '../upgrade/state/upgrade-store.ts';
import type { Look } from './conditions.ts';

const dayMs = 86_400_000;
/** Before the first reminder, and between two. */
const reminderDays = 3;

export function upgradeLook(db: Database, now: () => number = Date.now): Look {
  return {
    kind: 'upgrade-unfinalized',
    scope: '',
    confirmSeconds: 0,
    look: async () => {
      const open = await readOpenUpgrade(db);
      if (open === undefined) return [];
      const since = await readHaltedSince(db, open);
      const days = since === null ? 0 : Math.floor((now() - since.getTime()) / dayMs);
      if (days < reminderDays) return [];
      const { toRelease } = open;
      const message = `The upgrade to ${toRelease} ${todoText(open, days)}. Until it is over, two releases are at work.`;
      return [{ subject: toRelease, message, again: new Date(now() + reminderDays * dayMs) }];
    },
  };
}

function todoText({ state, pausedFrom, progress: { waitingFor } }: Upgrade, days: number): string {
  if (pausedFrom !== null) {
    const reverse = isReversible(pausedFrom) ? ' or `bramble upgrade reverse`' : '';
    return `is paused in ${pausedFrom}, and has not gone on for ${days} days: \`bramble upgrade resume\`${reverse}`;
  }
  if (state === 'soaking') {
    return `has passed all its waves ${days} days ago: \`bramble upgrade finalize\` or \`bramble upgrade reverse\``;
  }
  const what = waitingFor === undefined ? '' : `, and waits for ${waitingFor}`;
  return `has been ${state} for ${days} days${what}: \`bramble upgrade status\``;
}

/** The coordinator tells of a blocked fence, and when it is blocked no more; unless it ended before, with the upgrade. */
export function endedFenceLook(db: Database): Look {
  return {
    kind: 'fence-blocked',
    scope: '',
    confirmSeconds: 0,
    look: async () => ((await readOpenUpgrade(db)) === undefined ? [] : null),
  };
}
