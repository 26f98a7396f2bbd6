/**
 * Removal of one device by an administrator.
 *
 * With notice: the device is sent the removal of its enrolment ahead of everything else; the enrolment ends
 * when the device answers, whatever the answer, or after `removalDays`, and a device that connects later gets the
 * answer that makes it leave. Silently: the enrolment ends at once and the device is refused from then on but keeps its
 * profiles, so a stolen device does not lose its restrictions.
 *
 * Invariant: everything open for the device ends in the same transaction, and nothing is queued for it afterwards.
 */

import { fencedAccounts } from '../accounts/account-fence.ts';
import type { AccountId, CommandId, DeviceId, InstanceId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import { commandStates } from '../states/command-states.ts';
import { lockAccountOf } from './device-fence.ts';
import { endEnrolments, endOpenWork } from './enrolment-end.ts';

/** A device that does not answer is removed after this. */
export const removalDays = 7;

const reason = 'an administrator removed the device';

type RemovalOutcome =
  | { kind: 'not-found' }
  /** The device will be told. */
  | { kind: 'leaving'; commandId: CommandId; until: Date }
  /** The enrolment has ended. `tells`: whether the device is told to leave if it connects again. */
  | { kind: 'ended'; tells: boolean };

interface Removal {
  deviceId: DeviceId;
  tell: boolean;
  /** The platform's order to leave, sent if the device is to be told; null if it never is. */
  command: { commandId: CommandId; requestType: string; body: Uint8Array } | null;
}

/**
 * Idempotent. A device that is not under management cannot be told and is removed at once. Locks the account's row
 * exclusively for some milliseconds: no connect overlaps the removal, and the second of two administrators sees what
 * the first did.
 */
export async function removeDevice(tx: Transaction, { deviceId, tell, command }: Removal): Promise<RemovalOutcome> {
  await lockAccountOf(tx, tx`d.id = ${deviceId}`, 'no key update');
  const [device] = await tx<{ accountId: AccountId; state: string; commandId: CommandId | null; until: Date | null }[]>`
    select d.account_id as "accountId", d.state, d.removal_command_id as "commandId",
           d.removing_since + make_interval(days => ${removalDays}) as until
      from device d where d.id = ${deviceId}`;
  if (device === undefined) return { kind: 'not-found' };
  if (tell && command !== null && device.state === 'active') {
    if (device.until !== null && device.commandId !== null) {
      return { kind: 'leaving', commandId: device.commandId, until: device.until };
    }
    await endOpenWork(tx, [deviceId], reason);
    const [asked] = await tx<{ until: Date }[]>`
      update device set removing_since = clock_timestamp(), removal_command_id = ${command.commandId}
       where id = ${deviceId}
      returning removing_since + make_interval(days => ${removalDays}) as until`;
    if (asked === undefined) return { kind: 'not-found' };
    await tx`
      insert into command (id, device_id, account_id, request_type, body, urgent)
      values (${command.commandId}, ${deviceId}, ${device.accountId}, ${command.requestType}, ${command.body as Buffer}, true)`;
    await tx`select pg_notify('bramble_delivery', '')`;
    return { kind: 'leaving', commandId: command.commandId, until: asked.until };
  }
  if (device.state !== 'gone') await endEnrolments(tx, [deviceId], reason);
  await tx`
    update device set removing_since = case when ${tell} then coalesce(removing_since, clock_timestamp()) end
     where id = ${deviceId}`;
  return { kind: 'ended', tells: tell };
}

/**
 * Removes the devices of the instance's accounts that answered that they leave, or missed the deadline; with `deviceId`
 * only that one. At most 50 per call; returns which. Relies on device_removing; accounts FOR SHARE SKIP LOCKED.
 */
export async function finishRemovals(
  tx: Transaction,
  instanceId: InstanceId,
  deviceId?: DeviceId,
): Promise<DeviceId[]> {
  const rows = await tx<{ id: DeviceId }[]>`
    with finished as materialized (
      select d.id, d.account_id from device d left join command c on c.id = d.removal_command_id
       where d.removing_since is not null and d.state = 'active'
         and (${deviceId ?? null}::uuid is null or d.id = ${deviceId ?? null})
         and (c.id is null or ${commandStates.in(tx, 'answered', 'c')}
              or d.removing_since < clock_timestamp() - make_interval(days => ${removalDays}))
         and exists (select 1 from account a where a.id = d.account_id and a.instance_id = ${instanceId})
       limit 50
    ), fence as materialized (
      ${fencedAccounts(tx, instanceId, tx`select f.account_id from finished f`)}
    )
    select f.id from finished f join fence on fence.id = f.account_id`;
  const ids = rows.map((row) => row.id);
  if (ids.length > 0) await endEnrolments(tx, ids, reason);
  return ids;
}
