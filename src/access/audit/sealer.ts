/**
 * The sealer: chains committed records, one sealer at a time by advisory lock, and keeps the head outside the database.
 * If writers updated a shared head row, every import would wait for the previous one; so records are written unchained.
 *
 * Invariant: records are chained in order of (transaction, id) and only those of transactions below the snapshot's
 * xmin: no record can appear later in front of a sealed one. Ids alone would not do: they commit out of order. If
 * killed at any point, the next round continues: a round is one transaction, and a head that was not kept is kept by
 * the next.
 */
import { createBell } from '../../base/bell.ts';
import { messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { recordEvent } from '../../domain/events.ts';
import { emptyHead, type Head, type Seal, sealNext } from './chain.ts';
import { latestCut } from './cut.ts';
import { type HeadFile, openHeadFile } from './head-file.ts';
import { type RecordColumns, recordColumns, recordText } from './record-text.ts';

export const roundRecords = 500;

/** What a sealer remembers between two rounds, so that it need not look at all records each time. */
interface SealerMemory {
  /** Every record up to this id is sealed, or was rolled back. */
  sealedUpTo: string;
  /** The highest id of an earlier look, valid once all transactions of that time have ended. */
  candidate: { id: string; xmax: string } | null;
  /** The highest id of the last look, where that found nothing to seal. */
  seen: string | null;
}

export function freshMemory(): SealerMemory {
  return { sealedUpTo: '0', candidate: null, seen: null };
}

type RoundOutcome =
  /** `settled`: nothing is left that a later look could find, unless something is recorded. */
  | { kind: 'sealed'; count: number; head: Head; settled: boolean }
  /** Another sealer is running. */
  | { kind: 'busy' }
  /** The schema has no audit yet. */
  | { kind: 'absent' };

/** Seals what can be sealed, at most `limit` records. `wait` waits for another sealer's round instead of returning. */
export async function sealRound(
  db: Database,
  memory: SealerMemory,
  options: { limit?: number; wait?: boolean } = {},
): Promise<RoundOutcome> {
  const outcome = await db.begin(async (tx): Promise<RoundOutcome> => {
    const [lock] = await tx<{ audited: boolean; held: boolean }[]>`
      select to_regclass('audit_seal') is not null as audited, ${
        options.wait === true
          ? tx`pg_advisory_xact_lock(${lockClass}, ${advisoryLock.audit}) is not null`
          : tx`pg_try_advisory_xact_lock(${lockClass}, ${advisoryLock.audit})`
      } as held`;
    if (lock?.audited !== true) return { kind: 'absent' };
    if (!lock.held) return { kind: 'busy' };
    // In separate statements: they see what the previous sealer has committed.
    const head = await readHead(tx);
    const limit = options.limit ?? roundRecords;
    const rows = await unsealedRecords(tx, memory, limit);
    const seals: (Seal & { id: string })[] = [];
    let last = head;
    for (const { id, text } of rows) {
      const seal = sealNext(last, text);
      seals.push({ ...seal, id });
      last = seal;
    }
    await insertSeals(tx, seals);
    const { number, chain } = last;
    return { kind: 'sealed', count: seals.length, head: { number, chain }, settled: isSettled(memory) };
  });
  return outcome as RoundOutcome;
}

export async function readHead(q: Queryable): Promise<Head> {
  const [row] = await q<{ number: string; chain: string }[]>`
    select number::text as number, encode(chain, 'hex') as chain from audit_seal order by audit_seal.number desc limit 1`;
  return row === undefined ? emptyHead : { number: Number(row.number), chain: row.chain };
}

/** All existing records are sealed: writing another one notifies. */
function isSettled({ sealedUpTo, seen }: SealerMemory): boolean {
  return sealedUpTo === seen;
}

/**
 * In order. A transaction has its number before it draws an id (the table's order of columns), so that once everything that
 * ran at an earlier look has ended, no id up to that look's highest one can still appear.
 */
async function unsealedRecords(
  tx: Transaction,
  memory: SealerMemory,
  limit: number,
): Promise<{ id: string; text: string }[]> {
  const rows = await tx<RecordColumns[]>`
    select ${recordColumns(tx)}
      from audit_record r
     where r.id > ${memory.sealedUpTo} and ${hasEnded(tx)}
       and not exists (select from audit_seal s where s.record_id = r.id)
     order by r.transaction, r.id
     limit ${limit}`;
  memory.seen = null;
  if (rows.length > 0) return rows.map((row) => ({ id: row.id, text: recordText(row) }));
  const { candidate } = memory;
  const [look] = await tx<{ id: string; xmax: string; passed: boolean }[]>`
    select coalesce(max(id), 0)::text as id, pg_snapshot_xmax(pg_current_snapshot())::text as xmax,
           pg_snapshot_xmin(pg_current_snapshot()) >= ${candidate?.xmax ?? null}::xid8 as passed
      from audit_record`;
  if (look === undefined) return [];
  memory.seen = look.id;
  if (candidate === null) memory.candidate = look;
  else if (look.passed) {
    // The rows of this look were read before, when all up to the candidate had ended: nothing of them was left.
    memory.sealedUpTo = candidate.id;
    memory.candidate = look;
  }
  return [];
}

/**
 * Nothing of the record's transaction `r` can appear any more. A number that this cluster has not come to yet is of the
 * cluster that a dump was taken from.
 */
export function hasEnded(q: Queryable) {
  return q`(r.transaction < pg_snapshot_xmin(pg_current_snapshot())
            or r.transaction >= pg_snapshot_xmax(pg_current_snapshot()))`;
}

async function insertSeals(tx: Transaction, seals: readonly (Seal & { id: string })[]): Promise<void> {
  if (seals.length === 0) return;
  await tx`
    insert into audit_seal (number, record_id, content, chain)
    select n, id, decode(content, 'hex'), decode(chain, 'hex')
      from unnest(${seals.map((seal) => seal.number)}::bigint[], ${seals.map((seal) => seal.id)}::bigint[],
                  ${seals.map((seal) => seal.content)}::text[], ${seals.map((seal) => seal.chain)}::text[])
        as s(n, id, content, chain)`;
}

interface SealerOptions {
  db: Database;
  home: string;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
  signal: AbortSignal;
  /** Between two rounds while records may appear without a notice. Default 1000. */
  intervalMs?: number;
}

/** Seals until the signal is aborted. Failures are logged and retried, with a growing delay up to 30 s. */
export async function runSealer({ db, home, log, signal, intervalMs = 1000 }: SealerOptions): Promise<void> {
  const memory = freshMemory();
  const bell = createBell();
  const listening = await ringAtChanges(db, ['audit_record'], bell);
  let keeper: { keep(): Promise<void> } | undefined;
  let failures = 0;
  await takeTurns(bell, signal, async () => {
    try {
      const outcome = await sealRound(db, memory);
      if (outcome.kind !== 'absent') {
        // Even a passive sealer keeps heads: every host is a witness.
        keeper ??= headKeeper(db, await openHeadFile(home), log);
        await keeper.keep();
      }
      if (outcome.kind === 'sealed' && outcome.count === roundRecords) return 0;
      failures = 0;
      return outcome.kind === 'sealed' && outcome.settled ? Math.max(intervalMs, lateLookMs) : intervalMs;
    } catch (error) {
      failures++;
      log.warn({ error: messageOf(error) }, 'the audit was not sealed; will retry');
      return Math.min(30_000, intervalMs * 2 ** failures);
    }
  });
  await listening.unlisten();
}

/**
 * Keeps the head whenever it has moved, but only while it continues what was kept before: a file that agrees with a
 * rewritten table would be worth nothing. A mismatch is logged and reported once; `bramble audit verify` gives the
 * details.
 */
function headKeeper(db: Database, file: HeadFile, log: SealerOptions['log']): { keep(): Promise<void> } {
  let kept: Head | undefined;
  let contradicted = false;
  return {
    keep: async () => {
      if (contradicted) return;
      kept ??= (await file.last()) ?? emptyHead;
      const head = await readHead(db);
      if (!(await isContinued(db, kept))) {
        contradicted = true;
        log.error({ kept: kept.number, head: head.number }, 'the audit does not continue from the stored head');
        await recordEvent(db, {
          kind: 'audit-contradicted',
          message:
            `The audit’s record ${kept.number} is not the one whose head was stored outside the database. Run ` +
            '`bramble audit verify`; no head is stored until the service is restarted.',
        });
        return;
      }
      if (head.number <= kept.number) return;
      await file.append(file.sign(head, new Date()));
      kept = head;
    },
  };
}

/** One that a cut has passed over cannot be compared any more: verification follows the chain from the cut instead. */
async function isContinued(db: Database, kept: Head): Promise<boolean> {
  if (kept.number === 0) return true;
  const [seal] = await db<{ chain: string }[]>`
    select encode(chain, 'hex') as chain from audit_seal where number = ${kept.number}`;
  if (seal !== undefined) return seal.chain === kept.chain;
  const cut = await latestCut(db);
  return cut !== undefined && (cut.number > kept.number || (cut.number === kept.number && cut.chain === kept.chain));
}
