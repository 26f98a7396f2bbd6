/** The audit for people: one entry for each operation with what it changed. */
import type { AuditEntryView } from '../../api/audit.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';

interface AuditFilter {
  actor?: string | undefined;
  /** A part of an operation's or a change's name, such as `it_policy`. */
  operation?: string | undefined;
  /** Exactly a name or id. */
  subject?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  /** The `next` of the previous page. */
  before?: string | undefined;
  limit: number;
  /** Which operations whoever asks may see, of those on record; all entries without it. */
  sees?: ((q: Queryable, record: RecordFacts) => SqlFragment) | undefined;
}

/** What of the record of an operation says of whom it speaks. */
export type RecordFacts = Readonly<Record<'operation' | 'subjects' | 'at', SqlFragment>>;

interface AuditPage {
  readonly entries: AuditEntryView[];
  readonly next: string | null;
}

/** Where not all may be seen, a page looks at so many, however few of them may: the next one goes on behind them. */
const mostLooked = 5_000;

export async function listAudit(q: Queryable, filter: AuditFilter): Promise<AuditPage> {
  const { limit, sees } = filter;
  if (sees === undefined) {
    const records = q`
      select r.* from audit_record r where ${isWhen(q, filter)} and ${isWhat(q, filter)} order by r.id desc limit ${limit}`;
    const entries = await readEntries(q, records, q`r.detail`);
    return { entries, next: entries.length < limit ? null : (entries.at(-1)?.id ?? null) };
  }
  const facts = { operation: q`r.operation`, subjects: q`r.subjects`, at: q`r.at` };
  const [found] = await q<{ seen: string[]; last: string | null }[]>`
    with looked as materialized (
      select r.* from audit_record r where ${isWhen(q, filter)} order by r.id desc limit ${mostLooked})
    select array(select r.id::text from looked r
                  where r.kind = 'operation' and ${isWhat(q, filter)} and ${sees(q, facts)}
                  order by r.id desc limit ${limit}) as seen,
           (select r.id::text from looked r order by r.id desc offset ${mostLooked - 1} limit 1) as last`;
  const { seen, last } = found ?? { seen: [], last: null };
  // From where he asked is for those who see the whole record.
  const entries = await readEntries(q, q`select * from audit_record where id = any(${seen}::bigint[])`, q`'{}'::jsonb`);
  return { entries, next: seen.length < limit ? last : (seen.at(-1) ?? null) };
}

/**
 * Of record `r`: walks the primary key backwards; a subject is found by index audit_record_subjects, the changes of an operation by
 * audit_record_transaction; transaction and time together, since a restored dump holds numbers that the new cluster will assign again.
 */
function isWhen(q: Queryable, { subject, since, until, before }: AuditFilter): SqlFragment {
  return q`r.kind <> 'change'
       and (${before ?? null}::bigint is null or r.id < ${before ?? null}::bigint)
       and (${since ?? null}::timestamptz is null or r.at >= ${since ?? null}::timestamptz)
       and (${until ?? null}::timestamptz is null or r.at < ${until ?? null}::timestamptz)
       and (${subject ?? null}::text is null or r.id in (
             select case when m.kind = 'change' then o.id else m.id end
               from audit_record m
               left join audit_record o on (o.transaction, o.at) = (m.transaction, m.at) and o.kind = 'operation'
              where m.subjects @> array[${subject ?? null}::text]))`;
}

function isWhat(q: Queryable, { actor, operation }: AuditFilter): SqlFragment {
  return q`(${actor ?? null}::text is null or r.actor = ${actor ?? null})
       and (${operation ?? null}::text is null or position(lower(${operation ?? null}) in lower(r.operation)) > 0
         or exists (select from audit_record c
                     where (c.transaction, c.at) = (r.transaction, r.at) and r.kind = 'operation' and c.kind = 'change'
                       and position(lower(${operation ?? null}) in lower(c.operation)) > 0))`;
}

/** Newest first, each with its changes. @param records a query for them */
async function readEntries(q: Queryable, records: SqlFragment, detail: SqlFragment): Promise<AuditEntryView[]> {
  return await q<AuditEntryView[]>`
    select r.id::text as id, (select s.number::float8 from audit_seal s where s.record_id = r.id) as number, r.at, r.kind,
           r.actor, r.operation, r.subjects[:100] as subjects, r.request_id as "requestId", ${detail} as detail,
           (select count(*)::int from audit_record c
             where (c.transaction, c.at) = (r.transaction, r.at) and c.kind = 'change' and r.kind = 'operation') as "changeCount",
           coalesce((
             select jsonb_agg(jsonb_build_object('operation', c.operation, 'subjects', c.subjects[:100],
                                'subjectCount', cardinality(c.subjects), 'detail', c.detail) order by c.id)
               from (select * from audit_record
                      where (transaction, at) = (r.transaction, r.at) and kind = 'change' and r.kind = 'operation'
                      order by id limit 100) c), '[]') as changes
      from (${records}) r
     order by r.id desc`;
}

/** Of the primary key's first record: ids and times rise together, but for transactions at the same time. */
export async function oldestRecordAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ at: Date }[]>`select at from audit_record order by id limit 1`;
  return row?.at ?? null;
}
