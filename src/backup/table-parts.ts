/** The rows of tables, as they lie in a backup: in parts of some MiB, counted and digested. */
import { createHash } from 'node:crypto';
import type { Table } from '../database/copy/tables.ts';
import type { TableFacts } from './manifest.ts';

/** Before compression; a single larger row is a part of its own. */
const partBytes = 4 * 1024 * 1024;
const lineEnd = 10;

/** Hands over the rows in parts, and says what they are. A row is a line: COPY writes a line end within it as `\n`. */
export async function inParts(
  table: Table,
  pieces: AsyncIterable<Buffer>,
  take: (name: string, part: Buffer) => Promise<void> = async () => {},
): Promise<TableFacts> {
  const digest = createHash('sha256');
  let [rows, number] = [0, 0];
  let [waiting, bytes]: [Buffer[], number] = [[], 0];
  const flush = async () => {
    const part = Buffer.concat(waiting, bytes);
    [waiting, bytes] = [[], 0];
    digest.update(part);
    for (let at = part.indexOf(lineEnd); at >= 0; at = part.indexOf(lineEnd, at + 1)) rows++;
    number++;
    await take(`${folderOf(table.name)}${String(number).padStart(6, '0')}`, part);
  };
  for await (const piece of pieces) {
    waiting.push(piece);
    bytes += piece.length;
    if (bytes >= partBytes) await flush();
  }
  if (bytes > 0) await flush();
  const { name, columns } = table;
  return { name, columns: [...columns], rows, sha256: digest.digest('hex') };
}

export function folderOf(table: string): string {
  return `tables/${table}/`;
}
