/**
 * The identity certificate issued to an enrolment, in its device row, and its successor, kept beside it until the
 * device uses it (identity-renewal.ts).
 *
 * Protects: an offer, and each renewal attempt, is bound to the first key that presented its challenge, and only one
 * certificate is issued for it. Issuing and renewing are compare-and-set behind the account fence, so neither a
 * concurrent request nor a move can interfere.
 */
import { isServedBy } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { type DeviceState, deviceStates } from '../states/device-states.ts';
import { fencedAccountOf } from './device-fence.ts';
import { offerValidHours } from './offered-device.ts';

/** What the SCEP service needs of a device. */
export interface EnrollingDevice {
  readonly deviceId: DeviceId;
  readonly token: string;
  readonly accountName: string;
  /** Whether this instance owns the account and no mover has marked it. */
  readonly mine: boolean;
  readonly state: DeviceState;
  readonly scepChallenge: string;
  /** An offer that has expired. */
  readonly lapsed: boolean;
  /** SHA-256 of the SubjectPublicKeyInfo; null before an identity was issued. */
  readonly identityKey: Buffer | null;
  readonly identityCertificate: Buffer | null;
  readonly identityFingerprint: string | null;
  readonly renewal: EnrolmentRenewal | null;
}

/** State of the renewal of an enrolment's identity. */
interface EnrolmentRenewal {
  /** The current attempt; null together with its challenge. */
  readonly deliveryId: string | null;
  readonly challenge: string | null;
  /** The device was handed the challenge recently and has not refused it. */
  readonly open: boolean;
  /** The attempt that the identity below was issued for. */
  readonly issuedFor: string | null;
  /** Issued and not used yet: SHA-256 of the SubjectPublicKeyInfo, and the certificate. */
  readonly identityKey: Buffer | null;
  readonly identityCertificate: Buffer | null;
}

/**
 * How long a renewal's challenge is valid after the device was last handed it, and after the device reported it done.
 */
const challengeHours = 24;
const challengeMinutesAfter = 60;

interface EnrollingRow extends Omit<EnrollingDevice, 'renewal'> {
  readonly renewalOf: string | null;
  readonly deliveryId: string | null;
  readonly challenge: string | null;
  readonly open: boolean;
  readonly issuedFor: string | null;
  readonly nextKey: Buffer | null;
  readonly nextCertificate: Buffer | null;
}

/** Through the unique index of device tokens; no lock, since no decision rests on it alone. */
export async function enrollingDevice(
  q: Queryable,
  instanceId: InstanceId,
  token: string,
): Promise<EnrollingDevice | undefined> {
  const [row] = await q<EnrollingRow[]>`
    select d.id as "deviceId", d.token, a.name as "accountName",
      ${isServedBy(q, instanceId)} as mine,
      d.state, d.created_at <= clock_timestamp() - make_interval(hours => ${offerValidHours}) as lapsed, d.scep_challenge as "scepChallenge", d.identity_key as "identityKey",
      d.identity_certificate as "identityCertificate", d.identity_fingerprint as "identityFingerprint",
      r.device_id as "renewalOf", r.delivery_id as "deliveryId", r.challenge, r.issued_for as "issuedFor",
      r.identity_key as "nextKey", r.identity_certificate as "nextCertificate",
      exists (select 1 from command c where c.delivery_id = r.delivery_id and ${takesChallenge(q)}) as open
    from device d join account a on a.id = d.account_id left join device_renewal r on r.device_id = d.id
    where d.token = ${token}`;
  if (row === undefined) return undefined;
  const { renewalOf, deliveryId, challenge, open, issuedFor, nextKey, nextCertificate, ...device } = row;
  if (renewalOf === null) return { ...device, renewal: null };
  const identity = { identityKey: nextKey, identityCertificate: nextCertificate };
  return { ...device, renewal: { deliveryId, challenge, open, issuedFor, ...identity } };
}

/** Of command `c`, which carries the challenge. By command_delivery. */
function takesChallenge(q: Queryable) {
  return q`(c.state = 'sent' and c.sent_at > clock_timestamp() - make_interval(hours => ${challengeHours})
         or c.state = 'acknowledged' and c.answered_at > clock_timestamp() - make_interval(mins => ${challengeMinutesAfter}))`;
}

export interface IssuedIdentity {
  readonly transactionId: string;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly key: Uint8Array;
  readonly certificateDer: Uint8Array;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/** Writes the first identity of an offer. False if there is one already, or if the fence refuses. */
export async function storeIdentity(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
  issued: IssuedIdentity,
): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      ${fencedAccountOf(q, device.instanceId, device.deviceId)}
    )
    update device d set state = 'certified', scep_transaction = ${issued.transactionId}, identity_key = ${issued.key},
      identity_certificate = ${issued.certificateDer}, identity_fingerprint = ${issued.fingerprint},
      identity_issued_at = ${issued.issuedAt}, identity_expires_at = ${issued.expiresAt}
    from fence
    where d.id = ${device.deviceId} and d.account_id = fence.id and d.state = 'offered' and d.identity_key is null
      and d.created_at > clock_timestamp() - make_interval(hours => ${offerValidHours})
    returning d.id`;
  return rows.length > 0;
}

/**
 * Replaces the identity whose fingerprint the request was signed with. False if that one is no longer current. Used
 * while components of 1.1, which do not know a second identity, may serve the device.
 */
export async function replaceIdentity(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
  presentFingerprint: string,
  issued: IssuedIdentity,
): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      ${fencedAccountOf(q, device.instanceId, device.deviceId)}
    )
    update device d set scep_transaction = ${issued.transactionId}, identity_key = ${issued.key},
      identity_certificate = ${issued.certificateDer}, identity_fingerprint = ${issued.fingerprint},
      identity_issued_at = ${issued.issuedAt}, identity_expires_at = ${issued.expiresAt}
    from fence
    where d.id = ${device.deviceId} and d.account_id = fence.id and ${deviceStates.in(q, 'identified', 'd')}
      and d.identity_fingerprint = ${presentFingerprint} and d.identity_expires_at > clock_timestamp()
    returning d.id`;
  return rows.length > 0;
}

export type RenewalGround =
  /** The challenge of this attempt was presented. */
  | { readonly deliveryId: string; readonly challenge: string }
  /** The request was signed with the current identity. */
  | { readonly presentFingerprint: string };

/**
 * Writes the successor of the current identity, replacing one that was never used. False if the precondition no longer
 * holds: another key presented the challenge first, a later attempt was made, or the current identity has changed.
 */
export async function storeNextIdentity(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
  ground: RenewalGround,
  issued: IssuedIdentity,
): Promise<boolean> {
  const deliveryId = 'deliveryId' in ground ? ground.deliveryId : null;
  const holds =
    'deliveryId' in ground
      ? q`exists (select 1 from device_renewal r where r.device_id = d.id and r.delivery_id = ${ground.deliveryId}
                     and r.challenge = ${ground.challenge} and r.issued_for is distinct from r.delivery_id)`
      : q`d.identity_fingerprint = ${ground.presentFingerprint}`;
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      ${fencedAccountOf(q, device.instanceId, device.deviceId)}
    )
    insert into device_renewal as r (device_id, issued_for, scep_transaction, identity_key, identity_certificate,
                                     identity_fingerprint, identity_issued_at, identity_expires_at)
    select d.id, ${deliveryId}::uuid, ${issued.transactionId}, ${issued.key as Buffer}, ${issued.certificateDer as Buffer},
           ${issued.fingerprint}, ${issued.issuedAt}::timestamptz, ${issued.expiresAt}::timestamptz
      from device d join fence on fence.id = d.account_id
     where d.id = ${device.deviceId} and ${deviceStates.in(q, 'identified', 'd')} and ${holds}
    on conflict (device_id) do update
       set issued_for = excluded.issued_for, scep_transaction = excluded.scep_transaction,
           identity_key = excluded.identity_key, identity_certificate = excluded.identity_certificate,
           identity_fingerprint = excluded.identity_fingerprint, identity_issued_at = excluded.identity_issued_at,
           identity_expires_at = excluded.identity_expires_at
     where ${deliveryId}::uuid is null
        or (r.delivery_id = excluded.issued_for and r.issued_for is distinct from excluded.issued_for)
    returning r.device_id as id`;
  return rows.length > 0;
}
