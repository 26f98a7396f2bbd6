/** Which domain authorities are trusted, as the domain itself knows it. */
import type { Queryable } from '../database/connection.ts';
import { listAuthorityCertificates } from '../domain/authorities.ts';
import { readLastStatement } from '../domain/authority-statements.ts';
import { parseJson } from '../link/signed-envelope.ts';
import { type Trust, type TrustStatement, trustStatementShape } from '../link/trusted-authorities.ts';

/** What an administration service writes into the files of holders: the authority that issues comes first. */
export type DomainTrust = Pick<Trust, 'authorities' | 'bridges'>;

export async function readDomainTrust(q: Queryable): Promise<DomainTrust> {
  const certificates = await listAuthorityCertificates(q);
  const named = (name: string) => certificates.flatMap((row) => (row.name === name ? [row.certificate] : []));
  const { bridges } = await lastSaid(q);
  return {
    authorities: [...named('domain'), ...named('domain-other')],
    bridges: bridges.map((bridge) => Buffer.from(bridge, 'base64')),
  };
}

/** What the last statement says, and nothing before the first. */
export async function lastSaid(q: Queryable): Promise<Pick<TrustStatement, 'number' | 'bridges'>> {
  const last = await readLastStatement(q);
  if (last === null) return { number: 0, bridges: [] };
  return trustStatementShape.parse(parseJson(Buffer.from(last.payload, 'base64').toString()));
}
