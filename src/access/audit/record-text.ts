/**
 * The text of a record, which is sealed and exported. Built here from the plain columns: a function in the database
 * could be replaced, and show verification the original text of a changed record.
 */
import type { Queryable } from '../../database/connection.ts';

export interface RecordColumns {
  /** Of audit_record; both numbers are 64 bits wide. */
  id: string;
  transaction: string;
  /** ISO 8601 in UTC, with microseconds. */
  at: string;
  kind: string;
  actor: string | null;
  operation: string;
  subjects: string[];
  requestId: string | null;
  /** JSON as PostgreSQL writes `jsonb`: keys in its order, so that a record has only one text. */
  detail: string;
}

/** Of audit_record as `r`. */
export function recordColumns(q: Queryable) {
  return q`r.id::text as id, r.transaction::text as transaction,
           to_char(r.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, r.kind, r.actor, r.operation,
           r.subjects, r.request_id as "requestId", r.detail::text as detail`;
}

export function recordText({
  id,
  transaction,
  at,
  kind,
  actor,
  operation,
  subjects,
  requestId,
  detail,
}: RecordColumns): string {
  const facts = JSON.stringify({ id, transaction, at, kind, actor, operation, subjects, requestId });
  return `${facts.slice(0, -1)},"detail":${detail}}`;
}
