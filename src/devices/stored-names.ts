/**
 * What the database calls by names of the first platform. Columns and places keep the names that sealed releases write and
 * read; outside the statements that touch them neutral names hold, and this file says which is which:
 *
 *   device.udid              hardware id: what the device calls its hardware
 *   device.enrollment_id     enrolment id: what it calls its enrolment, where its hardware is private
 *   device.topic             wake channel                  device.push_token, push_magic   wake address: token, secret
 *   device.bootstrap_token   secret that it left in keeping                device.unlock_token             unlock secret
 *   command.state            acknowledged: done            error: failed                 not-now: later
 */
import type { DeviceId } from '../base/ids.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** What an enrolment is told apart by, of a device row by its alias. Compared in lower case, as device_named has it. */
export function enrolmentName(q: Queryable, alias: string): SqlFragment {
  return q`coalesce(${q(alias)}.udid, ${q(alias)}.enrollment_id)`;
}

const places = { keptSecret: 'bootstrap_token', unlockSecret: 'unlock_token' } as const;

/** What a secret of a device is sealed for. */
export function sealedPlace(secret: keyof typeof places, deviceId: DeviceId): string {
  return `device/${places[secret]}/${deviceId}`;
}
