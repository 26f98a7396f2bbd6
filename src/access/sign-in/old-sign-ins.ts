/** What is over of sign-in, and only in the way: the audit keeps who signed in, and when. */
import type { Transaction } from '../../database/connection.ts';

/** How long ended sessions and used codes are kept, and browsers that nobody signs in at any more. */
const endedDays = 30;
const browserDays = 180;

/** At most so many rows of each table. @returns of the table with the most */
export async function removeOldSignIns(tx: Transaction, most: number): Promise<number> {
  const ended = tx`now() - make_interval(days => ${endedDays})`;
  const removed = [
    await tx`
      delete from administrator_session where id in (
        select id from administrator_session
         where least(coalesce(ended_at, expires_at), expires_at) < ${ended} limit ${most})`,
    await tx`
      delete from sign_in_code where digest in (
        select digest from sign_in_code where coalesce(used_at, expires_at) < ${ended} limit ${most})`,
    await tx`
      delete from sign_in_challenge where id in (
        select id from sign_in_challenge where expires_at < now() limit ${most})`,
    await tx`
      delete from administrator_browser where digest in (
        select digest from administrator_browser
         where used_at < now() - make_interval(days => ${browserDays}) limit ${most})`,
    await tx`
      delete from sign_in_try where (subject, source) in (
        select subject, source from sign_in_try where last_at < now() - interval '1 day' limit ${most})`,
  ];
  return Math.max(...removed.map(({ count }) => count));
}
