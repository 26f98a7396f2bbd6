/** Which devices a connection service serves, and where to: those of the accounts of the instances that it serves. */
import type { Queryable } from '../../database/connection.ts';
import { certificatesOfDevices } from '../../devices/device-certificates.ts';
import { type AllowedHosts, allowedHosts } from '../../instances/allowed-hosts.ts';
import { isSuspended } from '../../states/device-states.ts';
import type { TunnelAuthorization } from './tunnel-rights.ts';

/**
 * Answers for all of the certificates in one statement. A suspended enrolment keeps its tunnels by its own certificate:
 * claiming a device's name does not close another's tunnels. Relies on connection_service_instance_pkey.
 */
export async function authorizeTunnels(
  q: Queryable,
  srpIdentifier: string,
  fingerprints: readonly string[],
): Promise<Map<string, TunnelAuthorization>> {
  const rows = await q<{ fingerprint: string; suspended: boolean; served: boolean }[]>`
    select asked.fingerprint, d.state <> 'active' as suspended,
           exists (select 1 from connection_service c join connection_service_instance r on r.connection_service_id = c.id
                    where c.srp_identifier = ${srpIdentifier} and r.instance_id = a.instance_id) as served
      from ${certificatesOfDevices(q, fingerprints)} asked
      join device d on d.id = asked.device_id and (d.state = 'active' or ${isSuspended(q, 'd')})
      join account a on a.id = d.account_id`;
  const found = new Map(
    rows.map(({ fingerprint, served, suspended }): [string, TunnelAuthorization] => [
      fingerprint,
      served ? (suspended ? 'suspended' : 'allowed') : 'not-served',
    ]),
  );
  return new Map(fingerprints.map((fingerprint) => [fingerprint, found.get(fingerprint) ?? 'unknown-device']));
}

/**
 * The hosts that the connection services of each device's instance allow, by certificate; no entry if there are none.
 */
export async function readHostsElsewhere(
  q: Queryable,
  fingerprints: readonly string[],
): Promise<Map<string, AllowedHosts>> {
  if (fingerprints.length === 0) return new Map();
  const rows = await q<{ fingerprints: string[]; patterns: string[] }[]>`
    with devices as (
      select a.instance_id, array_agg(asked.fingerprint) as fingerprints
        from ${certificatesOfDevices(q, fingerprints)} asked
        join device d on d.id = asked.device_id join account a on a.id = d.account_id
       group by 1)
    select fingerprints, array_agg(distinct host.pattern) as patterns
      from devices
      join connection_service_instance r using (instance_id)
      join connection_service c on c.id = r.connection_service_id
      cross join unnest(c.allowed_hosts) host(pattern)
     group by instance_id, fingerprints`;
  return new Map(
    rows.flatMap((row) => {
      const hosts = allowedHosts(row.patterns);
      return row.fingerprints.map((fingerprint): [string, AllowedHosts] => [fingerprint, hosts]);
    }),
  );
}
