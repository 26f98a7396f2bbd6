/** How often administrators asked for changes in a time, and of which accounts: from the record's operations. */
import type { Queryable, SqlFragment } from '../../database/connection.ts';

/** What components did by themselves is recorded under names of other forms. */
const request = '^(POST|PUT|PATCH|DELETE) ';

export async function countRequests(q: Queryable, since: Date, until: Date | null): Promise<number> {
  const [row] = await q<{ count: number }[]>`
    select count(*)::int as count from audit_record r where ${isRequest(q, since, until)}`;
  return row?.count ?? 0;
}

/** By the name that the request gave; of these accounts, through audit_record_subjects. */
export async function countRequestsAbout(
  q: Queryable,
  since: Date,
  until: Date | null,
  accounts: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await q<{ subject: string; count: number }[]>`
    select s.subject, count(distinct r.id)::int as count
      from audit_record r cross join unnest(r.subjects) as s(subject)
     where ${isRequest(q, since, until)} and r.operation ~ ${`${request}/accounts\\M`}
       and r.subjects && ${accounts as string[]}::text[] and s.subject = any(${accounts as string[]}::text[])
     group by s.subject`;
  return new Map(rows.map(({ subject, count }) => [subject, count]));
}

function isRequest(q: Queryable, since: Date, until: Date | null): SqlFragment {
  return q`
    r.kind = 'operation' and r.operation ~ ${request}
    and r.at >= ${since} and r.at <= coalesce(${until}::timestamptz, 'infinity')`;
}
