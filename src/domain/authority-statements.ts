/** What the domain has said of its authorities, in order and as it was signed. Read by whoever trusts one. */
import type { Queryable } from '../database/connection.ts';
import { isUndefinedTable } from '../database/sql-state.ts';

interface SignedStatement {
  payload: string;
  signature: string;
}

/** All of them: whoever begins with an early authority has to go through each. None where the schema does not have them yet. */
export async function readStatements(q: Queryable): Promise<SignedStatement[]> {
  try {
    return await q<SignedStatement[]>`
      select payload, signature from authority_statement order by authority_statement.number`;
  } catch (error) {
    if (isUndefinedTable(error)) return [];
    throw error;
  }
}

/** The last one. */
export async function readLastStatement(
  q: Queryable,
): Promise<(SignedStatement & { number: number; madeAt: Date }) | null> {
  const [row] = await q<(SignedStatement & { number: number; madeAt: Date })[]>`
    select payload, signature, number::float8 as number, made_at as "madeAt" from authority_statement
     order by authority_statement.number desc limit 1`;
  return row ?? null;
}
