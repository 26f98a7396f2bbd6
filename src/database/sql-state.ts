/** Why a statement failed, as PostgreSQL reports it. The server's messages, which are translated, are never matched. */
import postgres from 'postgres';

/** The five-character SQLSTATE of a failed statement, if it is one. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined;
}

/**
 * Whether a table's check refused a row: a check of the previous release, which is dropped when an upgrade is
 * finalized.
 */
export function isCheckViolation(error: unknown): boolean {
  return sqlState(error) === '23514';
}

/** Whether the schema is that of an earlier release. */
export function isUndefinedTable(error: unknown): boolean {
  return sqlState(error) === '42P01';
}

/** Whether the role of the session may not do what the statement asks for. */
export function isInsufficientPrivilege(error: unknown): boolean {
  return sqlState(error) === '42501';
}

/** Name of the constraint that a failed statement violated, if that is why it failed. */
export function violatedConstraint(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.constraint_name : undefined;
}
