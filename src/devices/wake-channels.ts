/**
 * Which enrolments know which wake channel. Invariant: an enrolment keeps the channel that it began with, so those with
 * another than the domain's cannot be woken until they enrol again. Reads all devices: for people, not for each message.
 */
import type { Queryable } from '../database/connection.ts';
import { column } from '../states/stored-names.ts';

export async function countByWakeChannel(q: Queryable, channel: string): Promise<{ same: number; another: number }> {
  const known = column(q, 'wakeChannel', 'd');
  const [row] = await q<{ same: number; another: number }[]>`
    select count(*) filter (where ${known} = ${channel})::int as same,
           count(*) filter (where ${known} <> ${channel})::int as another
      from device d where d.state <> 'gone'`;
  return row ?? { same: 0, another: 0 };
}
