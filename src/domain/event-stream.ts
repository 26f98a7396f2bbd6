/**
 * The events in the order in which they are told live: by (transaction, id), and only those of transactions below the
 * snapshot's xmin. Ids alone are committed out of order.
 *
 * Invariant: what was read up to a place is complete; no event can appear before it any more.
 */
import type { Queryable } from '../database/connection.ts';

/** Everything after it, in this order, comes after. */
interface StreamPlace {
  readonly transaction: bigint;
  readonly id: bigint;
}

interface StreamedEvent extends StreamPlace {
  readonly at: Date;
  readonly kind: string;
  readonly subject: string | null;
  readonly message: string;
}

interface EventLook {
  readonly events: StreamedEvent[];
  /** Of all events that can be told by now; those after the last one that was read are still to be read. */
  readonly end: StreamPlace;
  /** Since when events wait for an older transaction to end; null if none does. */
  readonly heldSince: Date | null;
}

interface EventRow {
  transaction: string;
  id: string;
  at: Date;
  kind: string;
  subject: string | null;
  message: string;
}

/** The first `limit` ones after a place, through event_stream_place, and how far the stream has come. */
export async function readEventsAfter(q: Queryable, after: StreamPlace, limit: number): Promise<EventLook> {
  const rows = await q<({ horizon: string; heldSince: Date | null } & (EventRow | { transaction: null }))[]>`
    select s.xmin::text as horizon,
           (select min(at) from event where transaction >= s.xmin and transaction < s.xmax) as "heldSince",
           e.transaction::text as transaction, e.id::text as id, e.at, e.kind, e.subject, e.message
      from (select pg_snapshot_xmin(c) as xmin, pg_snapshot_xmax(c) as xmax from pg_current_snapshot() c) s
      left join lateral (
        select transaction, id, at, kind, subject, message from event
         where (transaction, id) > (${String(after.transaction)}::xid8, ${String(after.id)}::bigint)
           and transaction < s.xmin
         order by event.transaction, event.id limit ${limit}) e on true
     order by e.transaction, e.id`;
  const [first] = rows;
  if (first === undefined) throw new TypeError('a look without a snapshot');
  return {
    events: rows.flatMap((row) => (row.transaction === null ? [] : [eventOf(row)])),
    end: { transaction: BigInt(first.horizon), id: 0n },
    heldSince: first.heldSince,
  };
}

/** The last `limit` ones, oldest first, through event_stream_place; and which stream it is. */
export async function readLastEvents(
  q: Queryable,
  limit: number,
): Promise<{ stream: string; events: StreamedEvent[]; end: StreamPlace }> {
  const [row] = await q<{ stream: string; horizon: string; events: (Omit<EventRow, 'at'> & { at: string })[] }[]>`
    select s.stream::text as stream, s.xmin::text as horizon, (
             select coalesce(jsonb_agg(jsonb_build_object(
                      'transaction', l.transaction::text, 'id', l.id::text, 'at', l.at, 'kind', l.kind,
                      'subject', l.subject, 'message', l.message) order by l.transaction, l.id), '[]')
               from (select transaction, id, at, kind, subject, message from event
                      where transaction < s.xmin
                      order by event.transaction desc, event.id desc limit ${limit}) l) as events
      from (select stream, pg_snapshot_xmin(pg_current_snapshot()) as xmin from event_stream) s`;
  if (row === undefined) throw new TypeError('the domain has no stream of events');
  return {
    stream: row.stream,
    events: row.events.map((each) => eventOf({ ...each, at: new Date(each.at) })),
    end: { transaction: BigInt(row.horizon), id: 0n },
  };
}

function eventOf({ transaction, id, at, kind, subject, message }: EventRow): StreamedEvent {
  return { transaction: BigInt(transaction), id: BigInt(id), at, kind, subject, message };
}
