/** The domain's append-only log, for people. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';

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

/** In the order of the primary key. */
const sorts: Sorts<'id'> = { id: [{ kind: 'number', of: (q) => q`event.id` }] };

export async function listEvents(
  q: Queryable,
  asked: PageAsked<'id'>,
): Promise<{ events: readonly DomainEvent[]; next: string | null }> {
  const page = pageOf(q, { name: 'events', sorts }, asked);
  const { rows, next } = page.cut(
    await q<(DomainEvent & Keyed)[]>`
      select id::int as id, at, kind, subject, message, ${page.keys} as keys from event
       where ${page.condition} order by ${page.order()} limit ${page.most}`,
  );
  return { events: rows, next };
}

/** Primary key. */
export async function oldestEventAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ at: Date }[]>`select at from event order by id limit 1`;
  return row?.at ?? null;
}
