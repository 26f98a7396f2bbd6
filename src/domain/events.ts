/** The domain's append-only log, for people. */
import type { Queryable, SqlFragment } from '../database/connection.ts';

interface NewEvent {
  /** Such as `component-registered` or `srp-refused`. */
  kind: string;
  subject?: string;
  message: string;
  detail?: Readonly<Record<string, unknown>>;
}

interface DomainEvent {
  id: number;
  at: Date;
  kind: string;
  subject: string | null;
  message: string;
}

export async function recordEvent(q: Queryable, event: NewEvent): Promise<void> {
  await q`
    insert into event (kind, subject, message, detail)
    values (${event.kind}, ${event.subject ?? null}, ${event.message}, ${q.json((event.detail ?? {}) as never)})`;
}

/** Many, as a part of a statement: `rows` is a query for their kinds, subjects and messages. */
export function eventsRecorded(q: Queryable, rows: SqlFragment): SqlFragment {
  return q`insert into event (kind, subject, message) ${rows}`;
}

/** The newest `limit` events, newest first. */
export async function listEvents(q: Queryable, limit: number): Promise<DomainEvent[]> {
  return await q<DomainEvent[]>`
    select id::int as id, at, kind, subject, message from event order by event.id desc limit ${limit}`;
}

/** Primary key. */
export async function oldestEventAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ at: Date }[]>`select at from event order by id limit 1`;
  return row?.at ?? null;
}
