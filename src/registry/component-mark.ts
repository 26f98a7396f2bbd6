/** Whether anything about the components has changed that people are shown. */
import type { Queryable } from '../database/connection.ts';

/** A text that differs once it has; renewed leases do not count. Reads all of a small table. */
export async function readComponentsMark(q: Queryable): Promise<string> {
  const [row] = await q<{ mark: string | null }[]>`
    select md5(string_agg(concat_ws(' ', name, release, boot_id, process_id, stopped_at, lease_until > clock_timestamp(),
                                    detail->>'serving', detail->'links'), ',' order by name)) as mark
      from component`;
  return row?.mark ?? '';
}
