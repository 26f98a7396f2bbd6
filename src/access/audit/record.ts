/**
 * Recording who changes what. The triggers of `sql/011-audit.expand.sql` capture the rows that a transaction changes;
 * this marks it as recorded, and by whom.
 *
 * Invariant: the record is written in the transaction of the change: there is no change without its record, and no
 * record of a change that did not happen.
 */
import type { Transaction } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';
import { administrationRecords } from '../../registry/component-detail.ts';

export interface Operation {
  /** Name of the administrator or token, or of the component that acts on its own. */
  actor: string;
  /** Such as `PUT /it-policies/:name` or `upgrade step fence`. */
  operation: string;
  /** The subject, as far as the request names it; the changed rows show the rest. */
  subjects: readonly string[];
  requestId?: string;
  /** Safe to keep: no part of a body. */
  from: {
    address?: string;
    client?: string;
    component: string;
    host?: string;
    /** What the actor is, where he is no component: two of different kinds may have had the same name. */
    actorKind?: 'administrator' | 'token' | 'legacy-token';
    /** His, or the token's. */
    actorId?: string;
    /** Who ordered the operation that a component carries out. */
    onOrderOf?: string;
    /** How often it was refused of late. */
    failures?: number;
  };
  /**
   * `wrote`: recorded when anything was written, captured or not (a command sent again). `changed`: only with captured
   * changes, for components that poll and note progress all the time.
   */
  when: 'wrote' | 'changed';
}

/**
 * Runs `work` as a recorded part of the transaction. On a schema without audit (before an upgrade has expanded it) it just
 * runs.
 */
export async function recorded<Result>(
  tx: Transaction,
  operation: Operation,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const [schema] = await tx<{ audited: boolean }[]>`
    select to_regclass('audit_record') is not null as audited, set_config('bramble.audit', 'on', true)`;
  const result = await work(tx);
  if (schema?.audited === true) await insertOperation(tx, operation);
  return result;
}

/** Index audit_record_transaction. A read-only transaction has no number, and leaves no record. */
async function insertOperation(tx: Transaction, { actor, operation, subjects, requestId, from, when }: Operation) {
  await tx`
    insert into audit_record (kind, actor, operation, subjects, request_id, detail)
    select 'operation', ${actor}, ${operation}, ${[...new Set(subjects)]}, ${requestId ?? null},
           jsonb_build_object('from', ${tx.json(from)}::jsonb)
     where pg_current_xact_id_if_assigned() is not null
       and (${when === 'wrote'} or exists (
             select from audit_record r
              where r.transaction = pg_current_xact_id_if_assigned() and r.at = now()))`;
}

/**
 * Notes that until now the domain ran a release whose administration services do not report that they record: since the
 * last record it is unknown who changed what.
 */
export async function markTimeWithoutAudit(tx: Transaction, release: string): Promise<void> {
  if (!(await hasTable(tx, 'audit_record'))) return;
  await tx`
    insert into audit_record (kind, operation, detail)
    select 'marker', 'time without audit',
           jsonb_build_object('release', ${release}::text, 'until', now(),
             'since', (select max(r.at) from audit_record r where r.kind <> 'unrecorded'))
     where not exists (${administrationRecords(tx, release)})`;
}
