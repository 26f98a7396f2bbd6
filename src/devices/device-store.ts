/** Devices as stored: lookups for check-in, and what each check-in message changes. All writes run under the account fence. */
import type { AccountId, DeviceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

export interface EnrolledDevice {
  deviceId: DeviceId;
  accountId: AccountId;
  platform: 'apple' | 'agent';
  state: 'offered' | 'certified' | 'authenticated' | 'active' | 'gone';
  fingerprint: string | null;
  udid: string | null;
  topic: string | null;
}

/** By path token; relies on device_token_key. */
export async function findDeviceByToken(q: Queryable, token: string): Promise<EnrolledDevice | 'not-found'> {
  const [row] = await q<EnrolledDevice[]>`
    select id as "deviceId", account_id as "accountId", platform, state, identity_fingerprint as fingerprint, udid, topic
      from device where token = ${token}`;
  return row ?? 'not-found';
}

export interface AuthenticatedDevice {
  udid: string | null;
  enrollmentId: string | null;
  topic: string | null;
  serialNumber: string | null;
  model: string | null;
  product: string | null;
  osVersion: string | null;
  softwareVersion: string | null;
}

/**
 * A new enrolment begins on this token: pending commands, open deliveries with their permits, and the bootstrap token of an
 * earlier one are cleared. An earlier enrolment of the same device under the account ends, with what was open of it; the
 * device options of the last one are carried into this one, also where it had ended before. Relies on device_account.
 */
export async function authenticateDevice(
  tx: Transaction,
  deviceId: DeviceId,
  device: AuthenticatedDevice,
): Promise<void> {
  const earlier = await tx<{ id: DeviceId; state: EnrolledDevice['state'] }[]>`
    select e.id, e.state
      from device own join device e on e.account_id = own.account_id and e.id <> own.id
     where own.id = ${deviceId} and coalesce(e.udid, e.enrollment_id) = ${device.udid ?? device.enrollmentId}
     order by e.last_seen_at desc nulls last`;
  for (const { id } of earlier.filter(({ state }) => state !== 'gone')) {
    await tx`update device set state = 'gone' where id = ${id}`;
    await endOpenWork(tx, id, 'the device enrolled again');
  }
  await endOpenWork(tx, deviceId, 'the device enrolled again');
  await tx`delete from device_user where device_id = ${deviceId}`;
  await tx`
    update device
       set state = 'authenticated', udid = ${device.udid}, enrollment_id = ${device.enrollmentId},
           topic = ${device.topic}, serial_number = ${device.serialNumber}, model = ${device.model},
           product = ${device.product}, os_version = ${device.osVersion},
           software_version = ${device.softwareVersion}, unlock_token = null, unlock_token_key = null,
           bootstrap_token = null, bootstrap_token_key = null, push_token = null, push_magic = null,
           last_seen_at = clock_timestamp(),
           options = coalesce((select e.options from device e where e.id = ${earlier[0]?.id ?? null}), options)
     where id = ${deviceId}`;
}

export interface UpdatedToken {
  topic: string;
  pushToken: Uint8Array;
  pushMagic: string;
  unlockToken: { ciphertext: Buffer; keyId: string } | null;
}

/** Stores the device channel's token; answers whether the enrolment became active by it. */
export async function updateToken(
  tx: Transaction,
  deviceId: DeviceId,
  token: UpdatedToken,
): Promise<'activated' | 'updated' | 'out-of-order'> {
  const [row] = await tx<{ before: string }[]>`
    update device d
       set state = 'active', topic = ${token.topic}, push_token = ${token.pushToken as Buffer},
           push_magic = ${token.pushMagic}, push_state = 'ok', last_seen_at = clock_timestamp(),
           unlock_token = coalesce(${token.unlockToken?.ciphertext ?? null}, d.unlock_token),
           unlock_token_key = coalesce(${token.unlockToken?.keyId ?? null}, d.unlock_token_key)
      from device old
     where d.id = ${deviceId} and old.id = d.id and d.state in ('authenticated', 'active')
    returning old.state as before`;
  if (!row) return 'out-of-order';
  return row.before === 'authenticated' ? 'activated' : 'updated';
}

/** Stores the token of a user channel under the device's identity; only an active device has user channels. */
export async function updateUserToken(
  tx: Transaction,
  deviceId: DeviceId,
  user: { userId: string; userName: string | null; pushToken: Uint8Array; pushMagic: string },
): Promise<'updated' | 'out-of-order'> {
  const { count } = await tx`
    insert into device_user (device_id, user_id, user_name, push_token, push_magic)
    select d.id, ${user.userId}, ${user.userName}, ${user.pushToken as Buffer}, ${user.pushMagic}
      from device d where d.id = ${deviceId} and d.state = 'active'
    on conflict (device_id, user_id) do update
       set user_name = excluded.user_name, push_token = excluded.push_token, push_magic = excluded.push_magic,
           updated_at = now()`;
  return count === 1 ? 'updated' : 'out-of-order';
}

export async function removeUser(tx: Transaction, deviceId: DeviceId, userId: string): Promise<void> {
  await tx`delete from device_user where device_id = ${deviceId} and user_id = ${userId}`;
}

/** The device left management: what it still owed or was owed ends. */
export async function checkOutDevice(tx: Transaction, deviceId: DeviceId): Promise<void> {
  await tx`update device set state = 'gone', last_seen_at = clock_timestamp() where id = ${deviceId}`;
  await endOpenWork(tx, deviceId, 'the device left management');
}

/** Cancels a device's pending commands, ends its open deliveries and gives their permits back. */
export async function endOpenWork(tx: Transaction, deviceId: DeviceId, reason: string): Promise<void> {
  await tx`
    update command set state = 'cancelled', answered_at = now()
     where device_id = ${deviceId} and state in ('queued', 'sent', 'not-now')`;
  await tx`
    with ended as (
      update delivery set state = 'failed', settled_at = now(), failure = ${reason}
       where device_id = ${deviceId} and state in ('owed', 'released', 'handed-out', 'suspect')
      returning id)
    update delivery_permit set delivery_id = null, taken_at = null where delivery_id in (select id from ended)`;
}

export async function storeBootstrapToken(
  tx: Transaction,
  deviceId: DeviceId,
  sealed: { ciphertext: Buffer; keyId: string } | null,
): Promise<void> {
  await tx`
    update device set bootstrap_token = ${sealed?.ciphertext ?? null},
           bootstrap_token_key = ${sealed?.keyId ?? null}
     where id = ${deviceId}`;
}

export async function readBootstrapToken(
  q: Queryable,
  deviceId: DeviceId,
): Promise<{ ciphertext: Buffer; keyId: string } | null> {
  const [row] = await q<{ ciphertext: Buffer | null; keyId: string | null }[]>`
    select bootstrap_token as ciphertext, bootstrap_token_key as "keyId" from device where id = ${deviceId}`;
  return row?.ciphertext && row.keyId ? { ciphertext: row.ciphertext, keyId: row.keyId } : null;
}
