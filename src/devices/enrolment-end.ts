/**
 * How enrolments end, together with their pending commands, open deliveries and permits, and user channels.
 *
 * Invariant: an enrolment that is not active is owed nothing and holds no permit. Commands and deliveries are written before
 * the device's row, in the order in which the connect statement locks them.
 */
import type { DeviceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';

/** The device left management by itself: everything open in either direction ends. */
export async function endByDevice(tx: Transaction, deviceId: DeviceId): Promise<void> {
  await endEnrolments(tx, [deviceId], 'the device left management');
  await tx`update device set last_seen_at = clock_timestamp() where id = ${deviceId}`;
}

/** Ends enrolments permanently; a no-op for those that have ended. */
export async function endEnrolments(tx: Transaction, deviceIds: readonly DeviceId[], reason: string): Promise<void> {
  await endOpenWork(tx, deviceIds, reason);
  await tx`delete from device_user where device_id = any(${deviceIds as DeviceId[]}::uuid[])`;
  await tx`update device set state = 'gone' where id = any(${deviceIds as DeviceId[]}::uuid[])`;
}

/** Cancels devices' pending commands, ends their open deliveries and releases the permits. */
export async function endOpenWork(q: Queryable, deviceIds: readonly DeviceId[], reason: string): Promise<void> {
  await q`
    update command set state = 'cancelled', answered_at = now()
     where device_id = any(${deviceIds as DeviceId[]}::uuid[]) and ${commandStates.in(q, 'pending')}`;
  await endDeliveries(q, deviceIds, reason);
}

/** As {@link endOpenWork}, but commands that an administrator sent by hand, such as a lock, stay in the queue. */
export async function endDeliveries(q: Queryable, deviceIds: readonly DeviceId[], reason: string): Promise<void> {
  await q`
    update command set state = 'cancelled', answered_at = now()
     where device_id = any(${deviceIds as DeviceId[]}::uuid[]) and ${commandStates.in(q, 'pending')}
       and delivery_id is not null`;
  await q`
    with ended as (
      update delivery set state = 'failed', settled_at = now(), failure = ${reason}
       where device_id = any(${deviceIds as DeviceId[]}::uuid[])
         and ${deliveryStates.in(q, 'open')}
      returning id)
    update delivery_permit set delivery_id = null, taken_at = null where delivery_id in (select id from ended)`;
}
