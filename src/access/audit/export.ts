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
import { fingerprintOf, type HeadFile, parseHeads } from './head-file.ts';
import { checkSignatures, headAt, linkPages, type Verification } from './verification.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const firstLine = z.object({
  format: z.literal('bramble-audit-1'),
  domainId: z.string(),
  how: z.string(),
  from: z.object({ number: z.number().int().min(0), chain: digest }),
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
 * Records after the first `after` ones. Ends where the chain ended when it was reached.
 * @throws BrambleError ERR_NOT_FOUND when there are not that many.
 */
export async function* exportAudit(db: Database, file: HeadFile, after: number): AsyncGenerator<string> {
  const from = await headAt(db, after);
  if (from === undefined) {
    throw new BrambleError(
      'ERR_NOT_FOUND',
      `The audit does not have ${counted(after, 'record')} yet: export again without that number.`,
    );
  }
  const { domainId } = await readDomain(db);
  yield line<typeof firstLine>({ format: 'bramble-audit-1', domainId, how, from });
  let head: Head = from;
  for await (const links of linkPages(db, from)) {
    yield links.map(({ text, ...seal }) => line<typeof recordLine>({ ...seal, record: text })).join('');
    const last = links.at(-1);
    if (last !== undefined) head = { number: last.number, chain: last.chain };
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
export async function verifyExport(lines: AsyncIterable<string>, headLines = ''): Promise<ExportVerification> {
  const kept = parseHeads(headLines);
  let check: ChainCheck | undefined;
  let after = 0;
  let ending: z.output<typeof lastLine> | undefined;
  let count = 0;
  for await (const text of lines) {
    if (text === '') continue;
    count++;
    const value = parseJson(text);
    if (check === undefined) {
      const { from } = parsed(firstLine, value, count);
      after = from.number;
      check = new ChainCheck(
        kept.filter((head) => head.number > from.number),
        from,
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
