/**
 * The renewal of a device's identity, on the side of its requests: an identity that was issued and not used yet is
 * accepted beside the current one, and the first request that proves it makes it current.
 *
 * Invariant: at any time one certificate proves an enrolment, or two from the issue of the new one until its first use.
 * From then on the old one is refused: otherwise a captured signature of it, or a device restored from an older state,
 * would be accepted for ever.
 */

import { type FencedOutcome, withAccountFence } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Database, Queryable, Transaction } from '../database/connection.ts';
import { isLongerAgo } from '../database/time-stamps.ts';
import { recordEvent } from '../domain/events.ts';
import { formerIdentityHours } from '../domain/identity-settings.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import type { EnrolledDevice } from './device-store.ts';

/**
 * The role of a certificate that was not the enrolment's current one a moment ago: `present` if another request has
 * started to use it meanwhile. By device_pkey and device_renewal_pkey; no lock.
 */
export async function readIdentityRole(
  q: Queryable,
  deviceId: DeviceId,
  fingerprint: string,
): Promise<'present' | 'new' | 'former' | 'none'> {
  const [row] = await q<{ role: 'present' | 'new' | 'former' | 'none' }[]>`
    select case ${fingerprint} when d.identity_fingerprint then 'present' when r.identity_fingerprint then 'new'
                               when r.former_fingerprint then 'former' else 'none' end as role
      from device d left join device_renewal r on r.device_id = d.id
     where d.id = ${deviceId}`;
  return row?.role ?? 'none';
}

/**
 * Whether both certificates belong to this token's enrolment: the current one, the next, or the previous, for as long
 * as a connection that it opened may last. By device_token_key and device_renewal_pkey; no lock.
 */
export async function belongToOneEnrolment(
  q: Queryable,
  token: string,
  fingerprints: readonly string[],
): Promise<boolean> {
  const rows = await q`
    select 1 from device d left join device_renewal r on r.device_id = d.id
     where d.token = ${token}
       and array[d.identity_fingerprint, r.identity_fingerprint,
                 case when not ${isLongerAgo(q, q`r.renewed_at`, formerIdentityHours * 3600)} then r.former_fingerprint end] @> ${fingerprints as string[]}::text[]`;
  return rows.length > 0;
}

/**
 * The new identity was proven and becomes the enrolment's. Idempotent: of several concurrent calls one does it; if the
 * certificate has changed by now, nothing happens.
 */
export async function startUsingIdentity(
  db: Database,
  instanceId: InstanceId,
  device: EnrolledDevice,
  fingerprint: string,
): Promise<FencedOutcome<void>> {
  return await withAccountFence(db, device.accountId, instanceId, async (tx) => {
    await settleRenewals(tx, device.deviceId, fingerprint);
    const [ended] = await tx<{ former: string | null }[]>`
      with taken as materialized (
        select r.*, d.identity_fingerprint as present
          from device_renewal r join device d on d.id = r.device_id
         where r.device_id = ${device.deviceId} and r.identity_fingerprint = ${fingerprint} and d.state <> 'gone'
           for update of r
      ), identity as (
        update device d
           set scep_transaction = t.scep_transaction, identity_key = t.identity_key,
               identity_certificate = t.identity_certificate, identity_fingerprint = t.identity_fingerprint,
               identity_issued_at = t.identity_issued_at, identity_expires_at = t.identity_expires_at
          from taken t where d.id = t.device_id
      )
      update device_renewal r
         set delivery_id = null, challenge = null, attempts = 0, issued_for = null, scep_transaction = null,
             identity_key = null, identity_certificate = null, identity_fingerprint = null, identity_issued_at = null,
             identity_expires_at = null, former_fingerprint = t.present, renewed_at = clock_timestamp()
        from taken t where r.device_id = t.device_id
      returning t.present as former`;
    if (ended === undefined) return;
    await recordEvent(tx, {
      kind: 'device-identity-renewed',
      subject: device.deviceId,
      message: `The device ${device.deviceId} used its new identity; the former one is refused from now on.`,
      detail: { former: ended.former, present: fingerprint },
    });
  });
}

/**
 * The device having the new identity settles the delivery that was to bring it, answered or not: sent again, the
 * profile would be installed twice. Locks in the order of the connect statement: commands, deliveries, permits, device.
 */
async function settleRenewals(tx: Transaction, deviceId: DeviceId, fingerprint: string): Promise<void> {
  await tx`
    with open as materialized (
      select v.id from delivery v
       where v.device_id = ${deviceId} and v.item = 'device-identity'
         and ${deliveryStates.in(tx, 'open', 'v')}
         and exists (select 1 from device_renewal r where r.device_id = v.device_id and r.identity_fingerprint = ${fingerprint})
    ), commands as (
      update command c set state = 'acknowledged', answered_at = clock_timestamp()
        from open o where c.delivery_id = o.id and ${commandStates.in(tx, 'pending', 'c')}
    ), deliveries as (
      update delivery v
         set state = case when v.state = 'owed' then 'superseded' else 'done' end, settled_at = clock_timestamp(),
             failure = case when v.state = 'owed' then 'the identity was renewed meanwhile' end
        from open o where v.id = o.id and ${deliveryStates.in(tx, 'open', 'v')}
    )
    update delivery_permit p set delivery_id = null, taken_at = null from open o where p.delivery_id = o.id`;
}

/** How long after a renewal a repeated start of enrolment, or one whose answer was lost, still belongs to it. */
const settlesWithinHours = 24;

/**
 * Whether an active enrolment is announced again because of a renewal: its profile was handed out and is not settled,
 * or its identity awaits its first use, or was first used within the last day.
 */
export async function isRenewing(tx: Transaction, deviceId: DeviceId): Promise<boolean> {
  const [row] = await tx`
    select 1 from device_renewal r join device d on d.id = r.device_id and d.state = 'active'
     where r.device_id = ${deviceId}
       and (r.identity_fingerprint is not null
            or not ${isLongerAgo(tx, tx`r.renewed_at`, settlesWithinHours * 3600)}
            or exists (select 1 from command c
                        where c.delivery_id = r.delivery_id and c.sent_at is not null
                          and ${commandStates.in(tx, 'pending', 'c')}))`;
  return row !== undefined;
}
