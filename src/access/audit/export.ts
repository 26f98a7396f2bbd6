/**
 * The audit as lines of JSON that can be verified without Bramble: a line that explains how, a line for each record
 * with the sealed text, a line with the signed head.
 */

import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { parseShallowJson } from '../../base/shallow-json.ts';
import { shownJson } from '../../base/shown-text.ts';
import type { Database } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import { ChainCheck, type Head } from './chain.ts';
import { cutShape, latestCut } from './cut.ts';
import { fingerprintOf, type HeadFile, parseHeads } from './head-file.ts';
import { checkCut, checkSignatures, headAt, linkPages, type Verification } from './verification.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const firstLine = z.object({
  format: z.literal('bramble-audit-1'),
  domainId: z.string(),
  how: z.string(),
  from: z.object({ number: z.number().int().min(0), chain: digest }),
  /** Where earlier records were removed; releases before 1.4 do not write it. */
  cut: cutShape.nullish(),
});
const recordLine = z.object({
  number: z.number().int().positive(),
  content: digest,
  chain: digest,
  record: z.string().nullable(),
});
const lastLine = z.object({
  head: z.object({ number: z.number().int().min(0), chain: digest, at: z.string(), signature: z.base64() }),
  publicKeyPem: z.string(),
  keyFingerprint: z.string(),
});

const how =
  'chain = SHA-256(chain before + "\\n" + number + "\\n" + content), content = SHA-256(record), all in hexadecimal; the ' +
  'head is signed by Ed25519 over "bramble audit head\\n" + number + "\\n" + chain + "\\n" + at';

/**
 * Records after the first `after` ones, or those that are still there, up to `upTo` or where the chain ended when it was
 * reached.
 * @throws BrambleError ERR_NOT_FOUND when there are not that many, or no longer; ERR_AUDIT_CUT, in the middle, when they
 *   are removed while they are exported.
 */
export async function* exportAudit(
  db: Database,
  file: HeadFile,
  { after = 0, upTo = Number.MAX_SAFE_INTEGER }: { after?: number; upTo?: number | undefined } = {},
): AsyncGenerator<string> {
  const cut = await latestCut(db);
  const from = await headAt(db, after === 0 ? (cut?.number ?? 0) : after, cut);
  if (from === undefined) {
    throw new BrambleError(
      'ERR_NOT_FOUND',
      cut !== undefined && after < cut.number
        ? `The audit begins after its record ${cut.number}: export it from there, or without a number.`
        : `The audit does not have ${counted(after, 'record')} yet: export again without that number.`,
    );
  }
  const { domainId } = await readDomain(db);
  yield line<typeof firstLine>({ format: 'bramble-audit-1', domainId, how, from, cut: cut ?? null });
  let head: Head = from;
  for await (const page of linkPages(db, from)) {
    const links = page.filter(({ number }) => number <= upTo);
    if (links[0] !== undefined && links[0].number !== head.number + 1) {
      const begins = await latestCut(db);
      if (begins !== undefined && begins.number > head.number) {
        throw new BrambleError('ERR_AUDIT_CUT', 'The audit was shortened while it was exported: export it again.');
      }
    }
    yield links.map(({ text, ...seal }) => line<typeof recordLine>({ ...seal, record: text })).join('');
    const last = links.at(-1);
    if (last !== undefined) head = { number: last.number, chain: last.chain };
    if (links.length < page.length) break;
  }
  const { publicKeyPem } = file;
  yield line<typeof lastLine>({
    head: file.sign(head, new Date()),
    publicKeyPem,
    keyFingerprint: fingerprintOf(publicKeyPem),
  });
}

type ExportVerification = Omit<Verification, 'pending'> & {
  /** Number of records not in the export: it begins after them. */
  after: number;
  keyFingerprint: string | null;
};

/**
 * Verifies an export, with the lines of a head file if available.
 * @throws BrambleError ERR_INPUT when it is no export.
 */
export async function verifyExport(
  lines: AsyncIterable<string>,
  headLines = '',
  trustedKey: string | null = null,
): Promise<ExportVerification> {
  const kept = parseHeads(headLines);
  let check: ChainCheck | undefined;
  let cut: z.output<typeof cutShape> | null = null;
  let after = 0;
  let ending: z.output<typeof lastLine> | undefined;
  let count = 0;
  for await (const text of lines) {
    if (text === '') continue;
    count++;
    const value = parseJson(text);
    if (check === undefined) {
      const first = parsed(firstLine, value, count);
      after = first.from.number;
      cut = first.cut?.number === after ? first.cut : null;
      check = new ChainCheck(
        kept.filter((head) => head.number >= after),
        first.from,
      );
    } else if (lastLine.safeParse(value).success) {
      ending = parsed(lastLine, value, count);
    } else {
      const { record, ...seal } = parsed(recordLine, value, count);
      check.add({ ...seal, text: record });
    }
  }
  if (check === undefined) throw new BrambleError('ERR_INPUT', 'The file is empty: it is not an audit export.');
  const { number, chain } = check.head;
  if (ending === undefined) check.find('truncated', number, 'The export has no last line: it was cut off.');
  else {
    await checkSignatures(check, [ending.head, ...kept], ending.publicKeyPem);
    if (cut !== null) checkCut(check, cut, ending.publicKeyPem, trustedKey);
    if (ending.head.number !== number || ending.head.chain !== chain) {
      check.find(
        'head',
        number,
        `The signed head is that of ${counted(ending.head.number, 'record')}, not of these ${number}.`,
      );
    }
  }
  const { count: faults, findings } = check.finish();
  return {
    after,
    sealed: number,
    heads: kept.length,
    chain,
    cut,
    faults,
    findings,
    keyFingerprint: ending?.keyFingerprint ?? null,
  };
}

function parsed<Shape extends z.ZodType>(shape: Shape, value: unknown, lineNumber: number): z.output<Shape> {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  throw new BrambleError('ERR_INPUT', `Line ${lineNumber} is not part of an audit export.`, {
    details: { line: lineNumber },
  });
}

function parseJson(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    return undefined;
  }
}

function line<Shape extends z.ZodType>(value: z.input<Shape>): string {
  return `${shownJson(value)}\n`;
}
