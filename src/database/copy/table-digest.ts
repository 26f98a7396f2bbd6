/** What a table's rows are, from the text that COPY makes of them: equal for equal rows in equal order. */
import { createHash } from 'node:crypto';
import type { Snapshot } from './snapshot.ts';
import type { Table } from './tables.ts';

export interface RowsFacts {
  readonly rows: number;
  /** SHA-256, hex. */
  readonly sha256: string;
}

/** Takes the pieces in order. */
interface TableDigest {
  add(piece: Buffer): void;
  facts(): RowsFacts;
}

const lineEnd = 10;

export function createTableDigest(): TableDigest {
  const digest = createHash('sha256');
  let rows = 0;
  return {
    add: (piece) => {
      digest.update(piece);
      // A row is a line: COPY writes a line end within it as `\n`.
      for (let at = piece.indexOf(lineEnd); at >= 0; at = piece.indexOf(lineEnd, at + 1)) rows++;
    },
    facts: () => ({ rows, sha256: digest.digest('hex') }),
  };
}

/** Reads a table to its end. */
export async function digestOf(snapshot: Snapshot, table: Table): Promise<RowsFacts> {
  const digest = createTableDigest();
  for await (const piece of await snapshot.rows(table)) digest.add(piece);
  return digest.facts();
}
