/** How often administrators asked for changes in a time, and of which accounts: from the record's operations. */
import type { Queryable } from '../../database/connection.ts';

interface RequestCounts {
  total: number;
  /** By the name that the request gave. */
  byAccount: ReadonlyMap<string, number>;
}

/** What components did by themselves is recorded under names of other forms. */
const request = '^(POST|PUT|PATCH|DELETE) ';

export async function countRequests(q: Queryable, since: Date, until: Date | null): Promise<RequestCounts> {
  const rows = await q<{ subject: string | null; count: number }[]>`
    select s.subject, count(distinct r.id)::int as count
      from audit_record r left join unnest(r.subjects) as s(subject) on r.operation ~ ${`${request}/accounts\\M`}
     where r.kind = 'operation' and r.operation ~ ${request} and r.at >= ${since} and r.at <= coalesce(${until}::timestamptz, 'infinity')
     group by grouping sets ((), (s.subject))
     order by grouping(s.subject) desc`;
  const [all, ...bySubject] = rows;
  return {
    total: all?.count ?? 0,
    byAccount: new Map(bySubject.flatMap(({ subject, count }) => (subject === null ? [] : [[subject, count]]))),
  };
}
