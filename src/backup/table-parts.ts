/** The rows of tables, as they lie in a backup: in parts of some MiB, counted and digested. */
import { createTableDigest } from '../database/copy/table-digest.ts';
import type { Table } from '../database/copy/tables.ts';
import type { TableFacts } from './manifest.ts';

/** Before compression; a single larger row is a part of its own. */
const partBytes = 4 * 1024 * 1024;

/** Hands over the rows in parts, and says what they are. */
export async function inParts(
  table: Table,
  pieces: AsyncIterable<Buffer>,
  take: (name: string, part: Buffer) => Promise<void>,
): Promise<TableFacts> {
  const digest = createTableDigest();
  let number = 0;
  let [waiting, bytes]: [Buffer[], number] = [[], 0];
  const flush = async () => {
    const part = Buffer.concat(waiting, bytes);
    [waiting, bytes] = [[], 0];
    digest.add(part);
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
  return { name, columns: [...columns], ...digest.facts() };
}

export function folderOf(table: string): string {
  return `tables/${table}/`;
}
