/** Events that were copied from another database, which the owner of the tables alone may change. */
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

/**
 * Where the numbers of transactions of the cluster that the rows came from mean nothing: what is there is before all that
 * will come, and places in the former stream are known as such. A schema of 1.4 has no stream.
 */
export async function beginEventStream(q: Queryable): Promise<void> {
  if (!(await hasTable(q, 'event_stream'))) return;
  await q`update event set transaction = null where transaction is not null`;
  await q`update event_stream set stream = gen_random_uuid()`;
}
