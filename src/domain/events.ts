/** The domain's append-only log, for people. */

import type { Key } from '../base/cursor.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type Keyed, type Page, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';

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

/** By event_at, event_kind and event_subject; events of one transaction in the order in which they were written. */
const sorts: Sorts<'at'> = {
  at: [
    { kind: 'time', of: (q) => q`event.at` },
    { kind: 'number', of: (q) => q`event.id` },
  ],
};

/** What of an event says of whom it speaks. */
export type EventFacts = Readonly<Record<'kind' | 'subject' | 'detail' | 'at', SqlFragment>>;

interface EventFilter extends PageAsked<'at'> {
  readonly kind?: string | undefined;
  /** Any of these. */
  readonly subjects?: readonly string[] | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Which ones whoever asks may see; all without it. */
  readonly sees?: ((q: Queryable, event: EventFacts) => SqlFragment) | undefined;
}

/** Where not all may be seen, a page looks at so many, however few of them may: the next one goes on behind them. */
const mostLooked = 5_000;

interface EventPage {
  readonly events: readonly DomainEvent[];
  readonly next: string | null;
}

export async function listEvents(q: Queryable, asked: EventFilter): Promise<EventPage> {
  const page = pageOf(q, { name: 'events', sorts }, asked);
  const shown = q`event.id::int as id, event.at, event.kind, event.subject, event.message, ${page.keys} as keys`;
  const { sees } = asked;
  if (sees === undefined) {
    const { rows, next } = page.cut(
      await q<(DomainEvent & Keyed)[]>`
        select ${shown} from (${matching(q, asked, page, page.most)}) event order by ${page.order()} limit ${page.most}`,
    );
    return { events: rows, next };
  }
  const facts = { kind: q`event.kind`, subject: q`event.subject`, detail: q`event.detail`, at: q`event.at` };
  const found = await q<(((DomainEvent & Keyed) | { id: null }) & { end: Key[] | null })[]>`
    with looked as materialized (${matching(q, asked, page, mostLooked)})
    select event.*, (select ${page.keys} from looked event order by ${page.order()} offset ${mostLooked - 1} limit 1) as "end"
      from (select) one left join (
        select ${shown} from looked event where ${sees(q, facts)} order by ${page.order()} limit ${page.most}) event on true
     order by ${page.order()}`;
  const { rows, next } = page.cut(
    found.flatMap((row) => (row.id === null ? [] : [row])),
    found[0]?.end,
  );
  return { events: rows, next };
}

/**
 * The first that fit. With subjects it looks for those of each, as what several have does not come sorted out of an index; this has
 * only the beginning of a subject, since who is refused may call himself what he likes.
 */
function matching(
  q: Queryable,
  { kind, subjects, since, until }: EventFilter,
  { condition, order }: Page,
  most: number,
): SqlFragment {
  const fits = [
    ...(kind === undefined ? [] : [q`event.kind = ${kind}`]),
    ...(since === undefined ? [] : [q`event.at >= ${since}`]),
    ...(until === undefined ? [] : [q`event.at < ${until}`]),
  ].reduce((all, part) => q`${all} and ${part}`, condition);
  const first = () => q`order by ${order()} limit ${most}`;
  if (subjects === undefined) return q`select event.* from event where ${fits} ${first()}`;
  return q`
    select event.* from unnest(${subjects as string[]}::text[]) asked (subject) cross join lateral (
      select event.* from event where left(event.subject, 200) = left(asked.subject, 200) and ${fits} ${first()}) event
     ${first()}`;
}

/** A query for these, by the primary key, with all that says of whom they speak. */
export function eventsWithIds(q: Queryable, ids: readonly bigint[]): SqlFragment {
  return q`select id, kind, subject, detail, at from event where id = any(${ids.map(String)}::bigint[])`;
}

/** Primary key. */
export async function oldestEventAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ at: Date }[]>`select at from event order by id limit 1`;
  return row?.at ?? null;
}
