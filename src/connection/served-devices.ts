/** Which devices a connection service serves: those of the accounts of the instances that it serves. */
import type { Queryable } from '../database/connection.ts';
import type { TunnelAuthorization } from './tunnel.ts';

/** By the device's certificate; relies on device_identity_fingerprint_key and connection_service_instance_pkey. */
export async function authorizeTunnel(
  q: Queryable,
  srpIdentifier: string,
  fingerprint: string,
): Promise<TunnelAuthorization> {
  const [row] = await q<{ served: boolean }[]>`
    select exists (select 1 from connection_service c join connection_service_instance r on r.connection_service_id = c.id
                    where c.srp_identifier = ${srpIdentifier} and r.instance_id = a.instance_id) as served
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
