/**
 * The identity certificate that an enrolment was issued, in its device row.
 *
 * Protects: an offer is bound to the first key that showed its challenge, and the certificate for it exists once. Issuing
 * and renewing are compare-and-set behind the account fence, so that neither a rival request nor a move gets in between.
 */
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { offerValidHours } from './device-offer.ts';

/** What the SCEP service needs of a device. */
export interface EnrollingDevice {
  readonly deviceId: DeviceId;
  readonly token: string;
  readonly accountName: string;
  /** Whether the account is this instance's, and not marked by a mover. */
  readonly mine: boolean;
  readonly state: 'offered' | 'certified' | 'authenticated' | 'active' | 'gone';
  readonly scepChallenge: string;
  /** An offer that was not taken up in time. */
  readonly lapsed: boolean;
  /** SHA-256 of the SubjectPublicKeyInfo; null before an identity was issued. */
  readonly identityKey: Buffer | null;
  readonly identityCertificate: Buffer | null;
  readonly identityFingerprint: string | null;
}

/** Through the unique index of device tokens; no lock, since nothing is decided by it alone. */
export async function enrollingDevice(
  q: Queryable,
  instanceId: InstanceId,
  token: string,
): Promise<EnrollingDevice | undefined> {
  const [row] = await q<EnrollingDevice[]>`
    select d.id as "deviceId", d.token, a.name as "accountName",
      (a.instance_id = ${instanceId} and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())) as mine,
      d.state, d.created_at <= clock_timestamp() - make_interval(hours => ${offerValidHours}) as lapsed, d.scep_challenge as "scepChallenge", d.identity_key as "identityKey",
      d.identity_certificate as "identityCertificate", d.identity_fingerprint as "identityFingerprint"
    from device d join account a on a.id = d.account_id
    where d.token = ${token}`;
  return row;
}

export interface IssuedIdentity {
  readonly transactionId: string;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly key: Uint8Array;
  readonly certificateDer: Uint8Array;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
  readonly expiresAt: Date;
}

/** Writes the first identity of an offer. False when there is one already, or behind the fence. */
export async function storeIdentity(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
  issued: IssuedIdentity,
): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      select a.id from account a
      where a.id = (select account_id from device where id = ${device.deviceId}) and a.instance_id = ${device.instanceId}
        and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
      for share of a
    )
    update device d set state = 'certified', scep_transaction = ${issued.transactionId}, identity_key = ${issued.key},
      identity_certificate = ${issued.certificateDer}, identity_fingerprint = ${issued.fingerprint},
      identity_expires_at = ${issued.expiresAt}
    from fence
    where d.id = ${device.deviceId} and d.account_id = fence.id and d.state = 'offered' and d.identity_key is null
      and d.created_at > clock_timestamp() - make_interval(hours => ${offerValidHours})
    returning d.id`;
  return rows.length > 0;
}

/** Replaces the identity whose fingerprint the request was signed with. False when that one is no longer the present. */
export async function replaceIdentity(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
  presentFingerprint: string,
  issued: IssuedIdentity,
): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      select a.id from account a
      where a.id = (select account_id from device where id = ${device.deviceId}) and a.instance_id = ${device.instanceId}
        and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
      for share of a
    )
    update device d set scep_transaction = ${issued.transactionId}, identity_key = ${issued.key},
      identity_certificate = ${issued.certificateDer}, identity_fingerprint = ${issued.fingerprint},
      identity_expires_at = ${issued.expiresAt}
    from fence
    where d.id = ${device.deviceId} and d.account_id = fence.id and d.state in ('certified', 'authenticated', 'active')
      and d.identity_fingerprint = ${presentFingerprint} and d.identity_expires_at > clock_timestamp()
    returning d.id`;
  return rows.length > 0;
}
