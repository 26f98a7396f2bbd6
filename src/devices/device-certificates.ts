/**
 * Which device a certificate is of, for tunnels. A device is recognised by its identity, by the pending successor, and, so that
 * a renewal cuts no open tunnel, by the former one for as long as a tunnel may last; instances route no new tunnel by that one.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { isLongerAgo } from '../database/time-stamps.ts';
import { formerIdentityHours } from '../domain/identity-settings.ts';
import { isSuspended } from '../states/device-states.ts';

/** A query in parentheses: `fingerprint` and `device_id`. By device_identity_fingerprint_key and the indexes of device_renewal. */
export function certificatesOfDevices(q: Queryable, fingerprints: readonly string[]): SqlFragment {
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
 * Notes that the certificate of a suspended enrolment was shown, once per suspension; the instance of its account lifts
 * the suspension within a minute. This write is not under the account fence: it changes nothing about the device
 * itself.
 */
export async function recordHeard(q: Queryable, fingerprint: string): Promise<void> {
  await q`
    insert into device_heard (device_id, heard_at)
    select d.id, clock_timestamp() from ${certificatesOfDevices(q, [fingerprint])} asked join device d on d.id = asked.device_id
     where ${isSuspended(q, 'd')}
       and not exists (select 1 from device_heard h where h.device_id = d.id and h.heard_at > d.suspended_at)
    on conflict (device_id) do update set heard_at = excluded.heard_at`;
}
