/** The internal hosts that a connection service may reach. Its process loads no statement that its database role may not send. */
import type { Queryable } from '../database/connection.ts';

/** Patterns of the internal hosts that its tunnels may lead to, or `not-found`. */
export async function readAllowedHosts(q: Queryable, srpIdentifier: string): Promise<string[] | 'not-found'> {
  const [row] = await q<{ allowedHosts: string[] }[]>`
    select allowed_hosts as "allowedHosts" from connection_service where srp_identifier = ${srpIdentifier}`;
  return row?.allowedHosts ?? 'not-found';
}
