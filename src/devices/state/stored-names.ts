/**
 * What the database calls by names of the first platform. Columns keep the names that sealed releases write and read; statements
 * take them from here, and everywhere else neutral names hold. Stored states do so too: a command that is *acknowledged* is done,
 * one of *error* has failed, and *not-now* was put off until later.
 */
import type { DeviceId } from '../../base/ids.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';

/** Columns of `device`, and of `device_user` where it has them. */
const storedAs = {
  /** What the device calls its hardware. */
  hardwareId: 'udid',
  /** What it calls its enrolment, where its hardware is private. */
  enrolmentId: 'enrollment_id',
  /** What the domain is known by at the wake service. */
  wakeChannel: 'topic',
  wakeToken: 'push_token',
  wakeSecret: 'push_magic',
  /** `wait-for-token`: nobody is at the address, and the device has to tell another. */
  wakeState: 'push_state',
  /** Opens the device when its user cannot; and the master key that sealed it. */
  unlockSecret: 'unlock_token',
  unlockSecretKey: 'unlock_token_key',
  /** Left in keeping by the device; and the master key that sealed it. */
  keptSecret: 'bootstrap_token',
  keptSecretKey: 'bootstrap_token_key',
} as const;

/** A column, of a row by its alias or of the statement's own table. */
export function column(q: Queryable, name: keyof typeof storedAs, alias?: string): SqlFragment {
  return alias === undefined ? q`${q(storedAs[name])}` : q`${q(alias)}.${q(storedAs[name])}`;
}

/** What an enrolment is told apart by, of a device row by its alias. Compared in lower case, as device_named has it. */
export function enrolmentName(q: Queryable, alias: string): SqlFragment {
  return q`coalesce(${column(q, 'hardwareId', alias)}, ${column(q, 'enrolmentId', alias)})`;
}

/** The same for a statement that is put together as text. */
export function enrolmentNameText(alias: string): string {
  return `coalesce(${alias}.${storedAs.hardwareId}, ${alias}.${storedAs.enrolmentId})`;
}

/** Whether a device row has an address to wake it at, good or not. */
export function hasWakeAddress(q: Queryable, alias: string): SqlFragment {
  return q`(${column(q, 'wakeToken', alias)} is not null and ${column(q, 'wakeSecret', alias)} is not null)`;
}

/** Whether a device row can be woken. */
export function canBeWoken(q: Queryable, alias: string): SqlFragment {
  return q`((${column(q, 'wakeState', alias)} = 'ok') is true and ${hasWakeAddress(q, alias)})`;
}

/** What a secret of a device is sealed for. */
export function sealedPlace(secret: 'keptSecret' | 'unlockSecret', deviceId: DeviceId): string {
  return `device/${storedAs[secret]}/${deviceId}`;
}
