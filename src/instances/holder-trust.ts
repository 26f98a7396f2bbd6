/** Which domain authorities a holder trusts that finds the domain's statements in the database. */
import type { Queryable } from '../database/connection.ts';
import { readStatements } from '../domain/authority-statements.ts';
import { certificatesIn, type Trust, trustFrom } from '../link/trusted-authorities.ts';

/** @param domainAuthorityPem the authorities in its file */
export async function trustOf(q: Queryable, domainAuthorityPem: string): Promise<Trust> {
  return trustFrom(certificatesIn(domainAuthorityPem), await readStatements(q));
}
