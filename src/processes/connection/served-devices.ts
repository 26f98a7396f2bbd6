/**
 * Which devices a connection service serves, and where to: those of the accounts of the instances that it serves. A
 * device is recognised by its identity, by the pending successor, and, so that a renewal cuts no open tunnel, by the
 * former one for as long as a tunnel may last; instances route no new tunnel by that one.
 */
import type { Queryable } from '../../database/connection.ts';
import { isLongerAgo } from '../../database/time-stamps.ts';
import { formerIdentityHours } from '../../domain/identity-settings.ts';
import { type AllowedHosts, allowedHosts } from '../../instances/allowed-hosts.ts';
import type { TunnelAuthorization } from './tunnel.ts';

/** `fingerprint` and `device_id`. By device_identity_fingerprint_key and the indexes of device_renewal. */
function devicesOf(q: Queryable, fingerprints: readonly string[]) {
  return q`(
    with asked as (select unnest(${fingerprints as string[]}::text[]) as fingerprint)
    select k.fingerprint, d.id as device_id from asked k join device d on d.identity_fingerprint = k.fingerprint
    union all
    select k.fingerprint, r.device_id from asked k join device_renewal r on r.identity_fingerprint = k.fingerprint
    union all
    select k.fingerprint, r.device_id from asked k join device_renewal r on r.former_fingerprint = k.fingerprint
       and not ${isLongerAgo(q, q`r.renewed_at`, formerIdentityHours * 3600)})`;
}

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
      from ${devicesOf(q, fingerprints)} asked
      join device d on d.id = asked.device_id and (d.state = 'active' or ${suspended(q)})
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
        from ${devicesOf(q, fingerprints)} asked
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

/**
 * Notes that the certificate of a suspended enrolment was shown, once per suspension; the instance of its account lifts
 * the suspension within a minute. This write is not under the account fence: it changes nothing about the device
 * itself.
 */
export async function recordHeard(q: Queryable, fingerprint: string): Promise<void> {
  await q`
    insert into device_heard (device_id, heard_at)
    select d.id, clock_timestamp() from ${devicesOf(q, [fingerprint])} asked join device d on d.id = asked.device_id
     where ${suspended(q)}
       and not exists (select 1 from device_heard h where h.device_id = d.id and h.heard_at > d.suspended_at)
    on conflict (device_id) do update set heard_at = excluded.heard_at`;
}

function suspended(q: Queryable) {
  return q`(d.state = 'authenticated' and d.suspended_at is not null)`;
}

/** Patterns of the internal hosts that tunnels may lead to, or `not-found`. */
export async function readAllowedHosts(q: Queryable, srpIdentifier: string): Promise<string[] | 'not-found'> {
  const [row] = await q<{ allowedHosts: string[] }[]>`
    select allowed_hosts as "allowedHosts" from connection_service where srp_identifier = ${srpIdentifier}`;
  return row?.allowedHosts ?? 'not-found';
}

/** Loopback ports on which components answer. */
export async function loopbackPorts(q: Queryable): Promise<number[]> {
  const rows = await q<{ url: string }[]>`select loopback_url as url from component where loopback_url is not null`;
  return rows.flatMap(({ url }) => (URL.canParse(url) ? [Number(new URL(url).port)] : []));
}
