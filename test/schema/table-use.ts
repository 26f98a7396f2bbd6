/** Which tables the SQL of a file writes and reads, from its text. */

export interface TableUse {
  readonly table: string;
  readonly kind: 'writes' | 'reads';
}

/** Nothing that PostgreSQL gets to see: comments, and texts in single quotes that stand outside of templates. */
const notSql = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm;

/** `tables`: the names of all of the schema. What follows these words in a statement is a relation. */
export function tablesUsed(text: string, tables: readonly string[]): TableUse[] {
  const statement = new RegExp(
    String.raw`\b(delete from|insert into|update|from|join|using|lock table)\s+(?:only\s+)?(${tables.join('|')})\b(?!['.(])`,
    'g',
  );
  const used = [...text.replaceAll(notSql, '').matchAll(statement)];
  return used.map(([, word = '', table = '']) => ({
    table,
    kind: ['delete from', 'insert into', 'update'].includes(word) ? 'writes' : 'reads',
  }));
}
