/** How many identities of devices end soon, for the checks of an upgrade. */
import type { Queryable } from '../database/connection.ts';

/**
 * Active devices whose identity has ended or ends within so many days, and how many of them were there lately: those are
 * reached by no renewal, though they are at work. One pass over active devices.
 */
export async function countEndingIdentities(
  q: Queryable,
  { withinDays, seenWithinDays }: { withinDays: number; seenWithinDays: number },
): Promise<{ ending: number; seen: number }> {
  const [row] = await q<{ ending: number; seen: number }[]>`
    select count(*)::int as ending,
           count(*) filter (where d.last_seen_at > now() - make_interval(days => ${seenWithinDays}))::int as seen
      from device d where d.state = 'active' and d.identity_expires_at < now() + make_interval(days => ${withinDays})`;
  return row ?? { ending: 0, seen: 0 };
}
