/** Devices as stored: lookups by their path token, and what each announcement changes. All writes run under the account fence. */
import type { AccountId, DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { DeviceFacts, DeviceNames, DeviceUser, ToldWakeAddress } from '../platforms/device-message.ts';
import { type DeviceState, deviceStates, isSuspended } from '../states/device-states.ts';
import { column, enrolmentName } from '../states/stored-names.ts';
import { endOpenWork } from './enrolment-end.ts';
import { suspendEarlier } from './suspension.ts';

export interface EnrolledDevice {
  deviceId: DeviceId;
  accountId: AccountId;
  platform: string;
  state: DeviceState;
  fingerprint: string | null;
  /** The device's own name for itself; null before its enrolment began. */
  enrolment: string | null;
  /** The wake channel by which it knows the domain. */
  channel: string | null;
  /** Another device claimed the same name, and this one's key has not been seen since. */
  suspended: boolean;
  /** An administrator removed it, and it is to leave by itself. */
  removing: boolean;
  /** Its identity is no longer accepted without TLS. */
  tlsRequired: boolean;
}

/** By path token; relies on device_token_key. */
export async function findDeviceByToken(q: Queryable, token: string): Promise<EnrolledDevice | 'not-found'> {
  const [row] = await q<EnrolledDevice[]>`
    select d.id as "deviceId", d.account_id as "accountId", d.platform, d.state, d.identity_fingerprint as fingerprint,
           ${enrolmentName(q, 'd')} as enrolment, ${column(q, 'wakeChannel', 'd')} as channel, ${isSuspended(q, 'd')} as suspended,
           d.removing_since is not null as removing, d.tls_required_at is not null as "tlsRequired"
      from device d where d.token = ${token}`;
  return row ?? 'not-found';
}

/**
 * A new enrolment begins on this token: pending commands, open deliveries with their permits, and the kept secret of an
 * earlier one are cleared. Earlier enrolments of the same name are suspended if this instance owns their accounts.
 * Returns `false` without starting anything if this one has ended meanwhile.
 */
export async function beginEnrolment(
  tx: Transaction,
  { deviceId, instanceId }: { deviceId: DeviceId; instanceId: InstanceId },
  device: DeviceNames & DeviceFacts & { readonly channel: string | null },
): Promise<boolean> {
  await endOpenWork(tx, [deviceId], 'the device enrolled again');
  await tx`delete from device_user where device_id = ${deviceId}`;
  const { count } = await tx`
    update device
       set state = 'authenticated', ${column(tx, 'hardwareId')} = ${device.hardwareId},
           ${column(tx, 'enrolmentId')} = ${device.enrolmentId}, ${column(tx, 'wakeChannel')} = ${device.channel},
           serial_number = ${device.serialNumber}, model = ${device.model},
           product = ${device.product}, os_version = ${device.osVersion},
           software_version = ${device.softwareVersion}, ${column(tx, 'unlockSecret')} = null,
           ${column(tx, 'unlockSecretKey')} = null, ${column(tx, 'keptSecret')} = null, ${column(tx, 'keptSecretKey')} = null,
           ${column(tx, 'wakeToken')} = null, ${column(tx, 'wakeSecret')} = null,
           last_seen_at = clock_timestamp(), authenticated_at = clock_timestamp(), suspended_at = null
     where id = ${deviceId} and state <> 'gone'`;
  if (count === 0) return false;
  await suspendEarlier(tx, instanceId, { newcomer: deviceId });
  await carryOptionsOver(tx, deviceId);
  return true;
}

/** An enrolment announced with a renewed identity continues; only its description of the device is stored. */
export async function describeDevice(tx: Transaction, deviceId: DeviceId, device: DeviceFacts): Promise<void> {
  await tx`
    update device
       set serial_number = coalesce(${device.serialNumber}, serial_number), model = coalesce(${device.model}, model),
           product = coalesce(${device.product}, product), os_version = coalesce(${device.osVersion}, os_version),
           software_version = coalesce(${device.softwareVersion}, software_version), last_seen_at = clock_timestamp()
     where id = ${deviceId}`;
}

/**
 * Device options outlive a wipe: a fresh enrolment inherits those of the account's last enrolment of the same device.
 * Only from one that has ended or is silent, and has the same serial number if both have one: a device that merely
 * claims another's name learns nothing about it. Relies on device_account.
 */
async function carryOptionsOver(tx: Transaction, deviceId: DeviceId): Promise<void> {
  await tx`
    update device own set options = earlier.options
      from (select e.options
              from device d join device e on e.account_id = d.account_id and e.platform = d.platform and e.id <> d.id
             where d.id = ${deviceId}
               and lower(${enrolmentName(tx, 'e')}) = lower(${enrolmentName(tx, 'd')})
               and (e.state = 'gone' or ${isSuspended(tx, 'e')})
               and (e.serial_number = d.serial_number or e.serial_number is null or d.serial_number is null)
             order by e.last_seen_at desc nulls last limit 1) earlier
     where own.id = ${deviceId} and own.options = '{}'`;
}

type Sealed = { ciphertext: Buffer; keyId: string };

/** Stores how the device is woken; returns whether this made the enrolment active. */
export async function storeWakeAddress(
  tx: Transaction,
  deviceId: DeviceId,
  address: ToldWakeAddress,
  unlockSecret: Sealed | null,
): Promise<'activated' | 'updated' | 'out-of-order'> {
  const [row] = await tx<{ before: string }[]>`
    update device d
       set state = 'active', ${column(tx, 'wakeChannel')} = ${address.channel},
           ${column(tx, 'wakeToken')} = ${address.token as Buffer}, ${column(tx, 'wakeSecret')} = ${address.secret},
           ${column(tx, 'wakeState')} = 'ok', last_seen_at = clock_timestamp(),
           ${column(tx, 'unlockSecret')} = coalesce(${unlockSecret?.ciphertext ?? null}, ${column(tx, 'unlockSecret', 'd')}),
           ${column(tx, 'unlockSecretKey')} = coalesce(${unlockSecret?.keyId ?? null}, ${column(tx, 'unlockSecretKey', 'd')})
      from device old
     where d.id = ${deviceId} and old.id = d.id and ${deviceStates.in(tx, 'enrolled', 'd')}
    returning old.state as before`;
  if (!row) return 'out-of-order';
  return row.before === 'authenticated' ? 'activated' : 'updated';
}

/** User channels kept per device, most recently seen first. */
export const maxUsersOfDevice = 128;

/**
 * Stores how a user's channel is woken, under the device's identity; only an active device has user channels. Beyond
 * the limit the least recently seen one is dropped. A row under an id shared by several users (the last writer) is
 * removed when the first of them can be told apart; each then reports an address of its own.
 */
export async function storeUserWakeAddress(
  tx: Transaction,
  deviceId: DeviceId,
  user: DeviceUser,
  address: ToldWakeAddress,
): Promise<'updated' | 'out-of-order'> {
  const { count } = await tx`
    insert into device_user (device_id, user_id, user_name, ${column(tx, 'wakeToken')}, ${column(tx, 'wakeSecret')})
    select d.id, ${user.id}, null, ${address.token as Buffer}, ${address.secret}
      from device d where d.id = ${deviceId} and d.state = 'active'
    on conflict (device_id, user_id) do update
       set user_name = excluded.user_name, ${column(tx, 'wakeToken')} = ${column(tx, 'wakeToken', 'excluded')},
           ${column(tx, 'wakeSecret')} = ${column(tx, 'wakeSecret', 'excluded')},
           updated_at = clock_timestamp()`;
  if (count === 0) return 'out-of-order';
  if (user.formerId !== null) await removeUser(tx, deviceId, user.formerId);
  await tx`
    delete from device_user u
     using (select user_id from device_user where device_id = ${deviceId} and user_id <> ${user.id}
             order by updated_at desc offset ${maxUsersOfDevice - 1}) surplus
     where u.device_id = ${deviceId} and u.user_id = surplus.user_id`;
  return 'updated';
}

export async function removeUser(tx: Transaction, deviceId: DeviceId, userId: string): Promise<void> {
  await tx`delete from device_user where device_id = ${deviceId} and user_id = ${userId}`;
}

/** The secret that a device escrows. */
export async function storeKeptSecret(tx: Transaction, deviceId: DeviceId, sealed: Sealed | null): Promise<void> {
  await tx`
    update device set ${column(tx, 'keptSecret')} = ${sealed?.ciphertext ?? null},
           ${column(tx, 'keptSecretKey')} = ${sealed?.keyId ?? null}
     where id = ${deviceId}`;
}

export async function readKeptSecret(q: Queryable, deviceId: DeviceId): Promise<Sealed | null> {
  const [row] = await q<{ ciphertext: Buffer | null; keyId: string | null }[]>`
    select ${column(q, 'keptSecret')} as ciphertext, ${column(q, 'keptSecretKey')} as "keyId" from device where id = ${deviceId}`;
  return row?.ciphertext && row.keyId ? { ciphertext: row.ciphertext, keyId: row.keyId } : null;
}
