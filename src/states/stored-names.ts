/**
 * Database names that come from the first platform. Columns keep the names that sealed releases write and read;
 * statements take them from here, and neutral names are used everywhere else. The same goes for stored states: an
 * *acknowledged* command is done, *error* has failed, and *not-now* was postponed.
 */
import type { DeviceId } from '../base/ids.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Columns of `device`, and of `device_user` if it has them. */
const storedAs = {
  /** The device's identifier for its hardware. */
  hardwareId: 'udid',
  /** Its identifier for the enrolment, if the hardware's is private. */
  enrolmentId: 'enrollment_id',
  /** The domain's identifier at the wake service. */
  wakeChannel: 'topic',
  wakeToken: 'push_token',
  wakeSecret: 'push_magic',
  /** `wait-for-token`: the address is dead, and the device has to announce another. */
  wakeState: 'push_state',
  /** Opens the device when its user cannot; and the master key that sealed it. */
  unlockSecret: 'unlock_token',
  unlockSecretKey: 'unlock_token_key',
  /** Escrowed by the device; and the master key that sealed it. */
  keptSecret: 'bootstrap_token',
  keptSecretKey: 'bootstrap_token_key',
} as const;

/** A column, of a row by its alias or of the statement's own table. */
export function column(q: Queryable, name: keyof typeof storedAs, alias?: string): SqlFragment {
  return alias === undefined ? q`${q(storedAs[name])}` : q`${q(alias)}.${q(storedAs[name])}`;
}

/** The enrolment's name, for a device row by its alias. Compared in lower case, as in device_named. */
export function enrolmentName(q: Queryable, alias: string): SqlFragment {
  return q`coalesce(${column(q, 'hardwareId', alias)}, ${column(q, 'enrolmentId', alias)})`;
}

/** The same for a statement that is built as text. */
export function enrolmentNameText(alias: string): string {
  return `coalesce(${alias}.${storedAs.hardwareId}, ${alias}.${storedAs.enrolmentId})`;
}

/** Whether a device row has a wake address, good or not. */
export function hasWakeAddress(q: Queryable, alias: string): SqlFragment {
  return q`(${column(q, 'wakeToken', alias)} is not null and ${column(q, 'wakeSecret', alias)} is not null)`;
}

/** Whether a device row can be woken. */
export function canBeWoken(q: Queryable, alias: string): SqlFragment {
  return q`((${column(q, 'wakeState', alias)} = 'ok') is true and ${hasWakeAddress(q, alias)})`;
}

/** The context that a device's secret is sealed for. */
export function sealedPlace(secret: 'keptSecret' | 'unlockSecret', deviceId: DeviceId): string {
  return `device/${storedAs[secret]}/${deviceId}`;
}

/** `table.column` of a device's secret. */
export function secretColumn(secret: 'keptSecret' | 'unlockSecret'): string {
  return `device.${storedAs[secret]}`;
}
