/** What is looked at of an upgrade: whether it waits for an operator, for days; and whether a blocked fence is over with it. */
import type { Database } from '../database/connection.ts';
import { readDecisionSince, readPausedSince } from '../upgrade/state/awaited-decision.ts';
import { readOpenUpgrade } from '../upgrade/state/upgrade-store.ts';
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
      const since = (await readDecisionSince(db, open)) ?? (await readPausedSince(db, open));
      const days = since === null ? 0 : Math.floor((now() - since.getTime()) / dayMs);
      if (days < reminderDays) return [];
      const { toRelease, state } = open;
      const todo =
        state === 'paused'
          ? `has been paused for ${days} days: \`bramble upgrade resume\` or \`bramble upgrade reverse\``
          : `has passed all its waves ${days} days ago: \`bramble upgrade finalize\` or \`bramble upgrade reverse\``;
      const message = `The upgrade to ${toRelease} ${todo}. Until then two releases are at work.`;
      return [{ subject: toRelease, message, again: new Date(now() + reminderDays * dayMs) }];
    },
  };
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
