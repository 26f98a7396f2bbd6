/**
 * Accounts as a stream of JSON lines, in one administration transaction: rows are inserted as they arrive, and nothing
 * is committed before the stream's orderly end. Invariant: a client that disconnects in the middle, a line that is not
 * an account, a release fence in between, and the end of its author's access each leave the database as it was.
 */
import { assertStillAllowed } from '../../access/audited-request.ts';
import { importAccounts, type NewAccount } from '../../accounts/account-import.ts';
import type { Within } from '../../accounts/account-scope.ts';
import { type ImportResult, newAccount } from '../../api/accounts.ts';
import { BrambleError } from '../../base/errors.ts';
import { plainIssue } from '../../base/plain-issue.ts';
import { parseShallowJson } from '../../base/shallow-json.ts';
import { decodeText, isWellFormed } from '../../rest/strict-input.ts';
import { unknownKey } from '../../rest/unknown-keys.ts';
import { listInstancesOnTrial } from '../../upgrade/state/upgrade-store.ts';
import { type AdministrationContext, write } from './context.ts';

const maxLineBytes = 64 * 1024;
const batchRows = 500;

/**
 * Reads accounts until the stream ends, then commits.
 * @throws BrambleError ERR_INPUT (with the line's number), ERR_LINE_TOO_LONG, ERR_RELEASE_FENCED; the stream's error
 * when the client disconnected, or stopped sending (ERR_BODY_TIMEOUT).
 */
export async function importAccountStream(
  context: AdministrationContext,
  stream: AsyncIterable<Uint8Array>,
  within: Within,
): Promise<ImportResult> {
  return await write(context, async (tx) => {
    const result: ImportResult = { created: 0, skipped: [] };
    for await (const rows of accountBatches(stream)) {
      await assertStillAllowed(tx);
      for (const outcome of await importAccounts(tx, rows, listInstancesOnTrial, within)) {
        if (outcome.kind === 'created') result.created++;
        else result.skipped.push({ name: outcome.name, reason: outcome.reason });
      }
    }
    await assertStillAllowed(tx);
    return result;
  });
}

/**
 * Rows as they arrive, at most 500 at a time: rows received are passed on before waiting for more, so the sender's pace
 * decides what is already written.
 */
export async function* accountBatches(stream: AsyncIterable<Uint8Array>): AsyncGenerator<NewAccount[]> {
  let line = 0;
  for await (const lines of linesOf(stream)) {
    let batch: NewAccount[] = [];
    for (const bytes of lines) {
      line++;
      const account = parseLine(bytes, line);
      if (account === null) continue;
      batch.push(account);
      if (batch.length === batchRows) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  }
}

/** Whole lines of each chunk; the last one need not end with a newline. */
async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
      lines.push(bytes.subarray(start, end));
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > maxLineBytes) throw lineTooLong();
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [rest];
}

/** Null for a blank line. */
function parseLine(bytes: Buffer, line: number): NewAccount | null {
  if (bytes.length > maxLineBytes) throw lineTooLong();
  const text = decodeText(bytes);
  if (text === null) throw notAnAccount(line, 'it is not UTF-8');
  if (text.trim() === '') return null;
  const value = parseJson(text);
  if (value === undefined) throw notAnAccount(line, 'it is not JSON');
  if (text.includes('\\u') && !isWellFormed(value)) throw notAnAccount(line, 'it contains an unpaired surrogate');
  const parsed = newAccount.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.join('.') ?? '';
    throw notAnAccount(line, `${field === '' ? 'it' : field} ${plainIssue(issue?.message ?? 'unknown')}`, field);
  }
  const unknown = unknownKey(newAccount, value);
  if (unknown === null) return parsed.data;
  const known = unknown.known.join(', ');
  throw notAnAccount(line, `${unknown.path} is unknown; expected: ${known}`, unknown.path);
}

function parseJson(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    return undefined;
  }
}

function notAnAccount(line: number, why: string, field = ''): BrambleError {
  return new BrambleError(
    'ERR_INPUT',
    `Line ${line} is not an account: ${why}. Nothing was imported; correct the line and send the whole import again.`,
    { details: { line, field } },
  );
}

function lineTooLong(): BrambleError {
  return new BrambleError('ERR_LINE_TOO_LONG', 'A line of the import is longer than 64 KiB. Nothing was imported.');
}
