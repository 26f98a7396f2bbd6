/** Which devices a connection service serves, and where to: those of the accounts of the instances that it serves. */
import type { Queryable } from '../database/connection.ts';
import type { TunnelAuthorization } from './tunnel.ts';

/**
 * An answer for every certificate that is asked about, in one statement. Relies on device_identity_fingerprint_key and connection_service_instance_pkey.
 */
export async function authorizeTunnels(
  q: Queryable,
  srpIdentifier: string,
  fingerprints: readonly string[],
): Promise<Map<string, TunnelAuthorization>> {
  const rows = await q<{ fingerprint: string; served: boolean }[]>`
    select d.identity_fingerprint as fingerprint,
           exists (select 1 from connection_service c join connection_service_instance r on r.connection_service_id = c.id
                    where c.srp_identifier = ${srpIdentifier} and r.instance_id = a.instance_id) as served
      from unnest(${fingerprints as string[]}::text[]) asked
      join device d on d.identity_fingerprint = asked and d.state = 'active'
      join account a on a.id = d.account_id`;
  const found = new Map(rows.map(({ fingerprint, served }) => [fingerprint, served]));
  return new Map(
    fingerprints.map((fingerprint) => {
      const served = found.get(fingerprint);
      return [fingerprint, served === undefined ? 'unknown-device' : served ? 'allowed' : 'not-served'];
    }),
  );
}

/** Patterns of the internal hosts that tunnels may lead to, or `not-found`. */
export async function readAllowedHosts(q: Queryable, srpIdentifier: string): Promise<string[] | 'not-found'> {
  const [row] = await q<{ allowedHosts: string[] }[]>`
    select allowed_hosts as "allowedHosts" from connection_service where srp_identifier = ${srpIdentifier}`;
  return row?.allowedHosts ?? 'not-found';
}

/** Ports of the loopback at which components answer. */
export async function loopbackPorts(q: Queryable): Promise<number[]> {
  const rows = await q<{ url: string }[]>`select loopback_url as url from component where loopback_url is not null`;
  return rows.flatMap(({ url }) => (URL.canParse(url) ? [Number(new URL(url).port)] : []));
}
