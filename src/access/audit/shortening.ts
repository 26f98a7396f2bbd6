/**
 * Shortens the audit: first a cut is made and kept, then what it covers is removed, in batches. If killed at any point,
 * the next turn continues: a cut without its line in the file of heads gets it before anything is removed, and what is left
 * in front of a cut no longer counts.
 *
 * Invariant: a record is removed only when a cut covers it, and the last thirty days and the last record never are. The
 * triggers of `sql/025-retention.expand.sql` hold both, whoever deletes.
 */
import { BrambleError } from '../../base/errors.ts';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type Cut, latestCut, signedCut } from './cut.ts';
import type { HeadFile } from './head-file.ts';

/** Records that one cut covers at most. */
const longestCut = 1_000_000;
const leastAuditDays = 30;

/** Where the audit can be cut. */
interface CutPlace {
  number: number;
  chain: string;
  after: number;
  lastAt: Date;
}

/**
 * The last place whose records were all sealed before this time; undefined if there is nothing to remove. Walks the primary
 * key from the last cut on.
 */
export async function findCutPlace(q: Queryable, before: Date): Promise<CutPlace | undefined> {
  const [row] = await q<CutPlace[]>`
    with begins as (select coalesce(max(number), 0) as number from audit_cut), old as (
      select s.number, s.chain, s.sealed_at, bool_and(s.sealed_at < least(${before}, now() - make_interval(days => ${leastAuditDays}))) over (order by s.number) as old
        from audit_seal s
       where s.number > (select number from begins) and s.number < (select max(number) from audit_seal)
       order by s.number limit ${longestCut})
    select old.number::float8 as number, encode(old.chain, 'hex') as chain,
           (select number::float8 from begins) as after, old.sealed_at as "lastAt"
      from old where old.old order by old.number desc limit 1`;
  return row;
}

/**
 * Cuts the audit there. Waits for a sealer's round and for another cut.
 * @throws BrambleError ERR_AUDIT_CUT where there is no such record, or it is too young to be removed.
 */
export async function cutAudit(
  tx: Transaction,
  file: HeadFile,
  order: { place: Pick<CutPlace, 'number' | 'chain'>; by: string; exportSha256: string | null },
): Promise<Cut> {
  const { place, by, exportSha256 } = order;
  await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.audit})`;
  // In a statement of its own: it sees what the holder before has committed.
  const [found] = await tx<{ lastAt: Date; at: Date; after: number; old: boolean }[]>`
    select s.sealed_at as "lastAt", now() as at, coalesce((select max(number) from audit_cut), 0)::float8 as after,
           s.sealed_at < now() - make_interval(days => ${leastAuditDays})
             and s.number < (select max(number) from audit_seal) as old
      from audit_seal s where s.number = ${place.number} and s.chain = decode(${place.chain}, 'hex')`;
  if (found === undefined || found.after >= place.number) {
    throw new BrambleError(
      'ERR_AUDIT_CUT',
      `The audit has no record ${place.number} with this head: it may have been shortened meanwhile. Ask again where it ` +
        'can be cut.',
      { details: { number: place.number } },
    );
  }
  if (!found.old) {
    throw new BrambleError(
      'ERR_AUDIT_CUT',
      `The audit cannot be cut at record ${place.number}: its last ${leastAuditDays} days and its last record always stay.`,
      { details: { number: place.number } },
    );
  }
  const { lastAt, at, after } = found;
  const cut = signedCut(file, {
    ...{ number: place.number, chain: place.chain, after, lastAt: lastAt.toISOString(), at: at.toISOString() },
    ...{ by, exportSha256 },
  });
  await insertCut(tx, cut);
  return cut;
}

/** Puts the cut into the home's file of heads, once. Those of other homes too: every host is a witness. */
export async function keepCut(file: HeadFile, cut: Cut): Promise<void> {
  if (!(await file.hasLine({ cut }))) await file.appendBeside({ cut });
}

/** When the first record behind the last cut was sealed. Primary key. */
export async function oldestSealAt(q: Queryable): Promise<Date | null> {
  const [row] = await q<{ sealedAt: Date }[]>`
    select sealed_at as "sealedAt" from audit_seal
     where number > (select coalesce(max(number), 0) from audit_cut) order by number limit 1`;
  return row?.sealedAt ?? null;
}

/** Whether anything is left in front of the last cut. */
export async function unremovedCut(q: Queryable): Promise<Cut | undefined> {
  const cut = await latestCut(q);
  if (cut === undefined) return undefined;
  const [left] = await q`select from audit_seal where number <= ${cut.number} limit 1`;
  return left === undefined ? undefined : cut;
}

/** Removes at most so many records in front of the cut, with their seals; returns how many seals. Primary keys of both. */
export async function removeCutRecords(tx: Transaction, cut: Cut, limit: number): Promise<number> {
  const rows = await tx<{ number: string; recordId: string }[]>`
    select number::text as number, record_id::text as "recordId" from audit_seal
     where number <= ${cut.number} order by audit_seal.number limit ${limit}`;
  if (rows.length === 0) return 0;
  await tx`delete from audit_record where id = any(${rows.map((row) => row.recordId)}::bigint[])`;
  await tx`delete from audit_seal where number = any(${rows.map((row) => row.number)}::bigint[])`;
  return rows.length;
}

/** With its record beside the operation's, which is sealed with it. */
async function insertCut(tx: Transaction, cut: Cut): Promise<void> {
  const { number, chain, after, lastAt, at, by, exportSha256, publicKeyPem, signature } = cut;
  await tx`
    insert into audit_cut (number, chain, after, last_at, at, by, export_sha256, public_key_pem, signature)
    values (${number}, decode(${chain}, 'hex'), ${after}, ${lastAt}, ${at}, ${by}, ${exportSha256}, ${publicKeyPem},
            ${signature})`;
  await tx`
    insert into audit_record (kind, operation, subjects, detail)
    values ('change', 'insert audit_cut', ${[String(number)]}, ${tx.json({ changes: [{ number, chain, after, lastAt, by, exportSha256 }] })})`;
}
