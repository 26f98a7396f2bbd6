/** Which devices a connection service serves: those of the accounts of the instance that it belongs to. */
import type { Queryable } from '../database/connection.ts';
import type { TunnelAuthorization } from './tunnel.ts';

/** By the device's certificate; relies on device_identity_fingerprint_key. */
export async function authorizeTunnel(
  q: Queryable,
  srpIdentifier: string,
  fingerprint: string,
): Promise<TunnelAuthorization> {
  const [row] = await q<{ served: boolean }[]>`
    select exists (select 1 from connection_service c
                    where c.srp_identifier = ${srpIdentifier} and c.instance_id = a.instance_id) as served
      from device d join account a on a.id = d.account_id
     where d.identity_fingerprint = ${fingerprint} and d.state = 'active'`;
  if (!row) return 'unknown-device';
  return row.served ? 'allowed' : 'not-served';
}

/** Patterns of the internal hosts that tunnels may lead to, or `not-found`. */
export async function readAllowedHosts(q: Queryable, srpIdentifier: string): Promise<string[] | 'not-found'> {
  const [row] = await q<{ allowedHosts: string[] }[]>`
    select allowed_hosts as "allowedHosts" from connection_service where srp_identifier = ${srpIdentifier}`;
  return row?.allowedHosts ?? 'not-found';
}
