/**
 * Verifies that the audit is as it was written: the tables with the heads of a home, or an export, by the same rules.
 */

import { setImmediate } from 'node:timers/promises';
import { counted } from '../../base/counted.ts';
import type { Database, Queryable } from '../../database/connection.ts';
import { ChainCheck, emptyHead, type Finding, type Head, type Link } from './chain.ts';
import { type Cut, isCutSigned, latestCut } from './cut.ts';
import { fingerprintOf, type HeadFile, headVerifier, type SignedHead } from './head-file.ts';
import { type RecordColumns, recordColumns, recordText } from './record-text.ts';
import { freshMemory, hasEnded, roundRecords, sealRound } from './sealer.ts';

export interface Verification {
  /** Records that are chained. */
  sealed: number;
  /** Records of transactions that have just ended or are still running: they will be chained soon. */
  pending: number;
  /** Heads that were kept outside the database. */
  heads: number;
  chain: string;
  /** Where earlier records were removed. */
  cut: Cut | null;
  /** All faults. */
  faults: number;
  /** The first hundred of them. */
  findings: Finding[];
}

const pageRows = 2000;
/** Signatures checked in one turn of the event loop: some 20 ms. */
const maxHeads = 100;

/**
 * Seals first what can be sealed, so that anything unsealed afterwards is a fault.
 * @param trustedKey fingerprint of another home's key whose cut is accepted
 */
export async function verifyAudit(
  db: Database,
  file: HeadFile,
  trustedKey: string | null = null,
): Promise<Verification> {
  const memory = freshMemory();
  for (;;) {
    const round = await sealRound(db, memory, { wait: true });
    if (round.kind !== 'sealed' || round.count < roundRecords) break;
  }
  const heads = await file.read();
  const { check, cut } = await followed(db, heads);
  await checkSignatures(check, heads, file.publicKeyPem);
  if (cut !== undefined) checkCut(check, cut, file.publicKeyPem, trustedKey);
  const unsealed = await listUnsealed(db);
  for (const { id, at, operation } of unsealed.stuck) {
    check.find('unsealed', null, `Record with id ${id} (${operation}, ${at.toISOString()}) is missing from the chain.`);
  }
  const { count, findings } = check.finish();
  const { number, chain } = check.head;
  const { pending } = unsealed;
  return { sealed: number, pending, heads: heads.length, chain, cut: cut ?? null, faults: count, findings };
}

/** Again if the audit was cut meanwhile: what was to be followed may have been removed. */
async function followed(db: Database, heads: readonly Head[]): Promise<{ check: ChainCheck; cut: Cut | undefined }> {
  for (;;) {
    const cut = await latestCut(db);
    const check = new ChainCheck(heads, cut ?? emptyHead);
    for await (const links of linkPages(db, cut ?? emptyHead)) for (const link of links) check.add(link);
    if ((await latestCut(db))?.number === cut?.number) return { check, cut };
  }
}

/** That the chain begins at a cut is a fault unless this home, or another one that is trusted, has signed it. */
export function checkCut(check: ChainCheck, cut: Cut, publicKeyPem: string, trustedKey: string | null): void {
  const where = `The cut at record ${cut.number}`;
  if (!isCutSigned(cut)) {
    check.find('cut', cut.number, `${where} is not signed by the key that it names: it was forged or changed.`);
    return;
  }
  const signer = fingerprintOf(cut.publicKeyPem);
  if (signer === fingerprintOf(publicKeyPem) || signer === trustedKey) return;
  check.find(
    'cut',
    cut.number,
    `${where} was signed by the key ${signer}. If that is the key of another home of this domain, trust it with ` +
      '--trust-key; otherwise it was forged.',
  );
}

/** A head that was not signed by this key is a fault itself. Yields to other work in between: there are many heads. */
export async function checkSignatures(
  check: ChainCheck,
  heads: readonly SignedHead[],
  publicKeyPem: string,
): Promise<void> {
  const isSigned = headVerifier(publicKeyPem);
  for (const [index, head] of heads.entries()) {
    if (index % maxHeads === 0) await setImmediate();
    if (isSigned(head)) continue;
    check.find('signature', head.number, `A head of ${counted(head.number, 'record')} was not signed by this key.`);
  }
}

/** The chain after `from`, page by page: primary keys of both tables. */
export async function* linkPages(q: Queryable, from: Head): AsyncGenerator<Link[]> {
  for (let after = from.number; ; ) {
    const rows = await q<({ number: string; content: string; chain: string } & (RecordColumns | { id: null }))[]>`
      select s.number::text as number, encode(s.content, 'hex') as content, encode(s.chain, 'hex') as chain,
             ${recordColumns(q)}
        from audit_seal s left join audit_record r on r.id = s.record_id
       where s.number > ${after}
       order by s.number
       limit ${pageRows}`;
    const links = rows.map((row) => ({
      number: Number(row.number),
      content: row.content,
      chain: row.chain,
      text: row.id === null ? null : recordText(row),
    }));
    if (links.length > 0) yield links;
    if (links.length < pageRows) return;
    after = links.at(-1)?.number ?? after;
  }
}

/** The head of the first `number` records, if the chain still reaches there. */
export async function headAt(q: Queryable, number: number, cut: Cut | undefined): Promise<Head | undefined> {
  const begins = cut ?? emptyHead;
  if (number < begins.number) return undefined;
  if (number === begins.number) return { number, chain: begins.chain };
  const [row] = await q<
    { chain: string }[]
  >`select encode(chain, 'hex') as chain from audit_seal where number = ${number}`;
  return row === undefined ? undefined : { number, chain: row.chain };
}

async function listUnsealed(q: Queryable) {
  const rows = await q<{ id: string; at: Date; operation: string; ended: boolean }[]>`
    select r.id::text as id, r.at, r.operation, ${hasEnded(q)} as ended
      from audit_record r
     where not exists (select from audit_seal s where s.record_id = r.id)
     order by r.id
     limit 1000`;
  const stuck = rows.filter((row) => row.ended);
  return { stuck, pending: rows.length - stuck.length };
}
