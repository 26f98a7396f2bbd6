import postgres from 'postgres';

/** The five-character SQLSTATE of a failed statement, if it is one. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined;
}
