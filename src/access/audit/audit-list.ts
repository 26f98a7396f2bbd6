/** The audit for people: one entry for each operation with what it changed. */
import type { AuditEntryView } from '../../api/audit.ts';
import type { Queryable } from '../../database/connection.ts';

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
}

/**
 * Newest first. Walks the primary key backwards; a subject is found by index audit_record_subjects, the changes of an
 * operation by audit_record_transaction; transaction and time together, since a restored dump holds numbers that the
 * new cluster will assign again.
 */
export async function listAudit(q: Queryable, filter: AuditFilter): Promise<AuditEntryView[]> {
  const { actor, operation, subject, since, until, before, limit } = filter;
  return await q<AuditEntryView[]>`
    select r.id::text as id, (select s.number::float8 from audit_seal s where s.record_id = r.id) as number, r.at, r.kind,
           r.actor, r.operation, r.subjects[:100] as subjects, r.request_id as "requestId", r.detail,
           (select count(*)::int from audit_record c
             where (c.transaction, c.at) = (r.transaction, r.at) and c.kind = 'change' and r.kind = 'operation') as "changeCount",
           coalesce((
             select jsonb_agg(jsonb_build_object('operation', c.operation, 'subjects', c.subjects[:100],
                                'subjectCount', cardinality(c.subjects), 'detail', c.detail) order by c.id)
               from (select * from audit_record
                      where (transaction, at) = (r.transaction, r.at) and kind = 'change' and r.kind = 'operation'
                      order by id limit 100) c), '[]') as changes
      from audit_record r
     where r.kind <> 'change'
       and (${before ?? null}::bigint is null or r.id < ${before ?? null}::bigint)
       and (${since ?? null}::timestamptz is null or r.at >= ${since ?? null}::timestamptz)
       and (${until ?? null}::timestamptz is null or r.at < ${until ?? null}::timestamptz)
       and (${actor ?? null}::text is null or r.actor = ${actor ?? null})
       and (${subject ?? null}::text is null or r.id in (
             select case when m.kind = 'change' then o.id else m.id end
               from audit_record m
               left join audit_record o on (o.transaction, o.at) = (m.transaction, m.at) and o.kind = 'operation'
              where m.subjects @> array[${subject ?? null}::text]))
       and (${operation ?? null}::text is null or position(lower(${operation ?? null}) in lower(r.operation)) > 0
         or exists (select from audit_record c
                     where (c.transaction, c.at) = (r.transaction, r.at) and r.kind = 'operation' and c.kind = 'change'
                       and position(lower(${operation ?? null}) in lower(c.operation)) > 0))
     order by r.id desc
     limit ${limit}`;
}

/** Of the primary key's first record: ids and times rise together, but for transactions at the same time. */
export async function oldestRecordAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ at: Date }[]>`select at from audit_record order by id limit 1`;
  return row?.at ?? null;
}
