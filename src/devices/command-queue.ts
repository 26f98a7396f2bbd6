/** The queue of a device's commands, as administrators see and fill it. */
import type { AccountId, CommandId, DeviceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

export interface NewCommand {
  commandId: CommandId;
  deviceId: DeviceId;
  requestType: string;
  /** The whole plist as the device gets it. */
  body: Uint8Array;
  /** Jumps the queue, as remote commands do. */
  urgent: boolean;
}

/**
 * Queues an operator's command; `not-active` when the device is not under management. Takes the account's row FOR SHARE:
 * a move that is being committed is waited for, and the command belongs to whoever owns the account then.
 */
export async function queueCommand(
  tx: Transaction,
  command: NewCommand,
): Promise<'queued' | 'not-found' | 'not-active'> {
  const [device] = await tx<{ accountId: AccountId; state: string }[]>`
    select d.account_id as "accountId", d.state
      from device d join account a on a.id = d.account_id where d.id = ${command.deviceId} for share of a`;
  if (!device) return 'not-found';
  if (device.state !== 'active') return 'not-active';
  await tx`
    insert into command (id, device_id, account_id, request_type, body, urgent)
    values (${command.commandId}, ${command.deviceId}, ${device.accountId}, ${command.requestType},
            ${command.body as Buffer}, ${command.urgent})`;
  await tx`select pg_notify('bramble_delivery', '')`;
  return 'queued';
}

export interface QueuedCommand {
  commandId: CommandId;
  requestType: string;
  state: 'queued' | 'sent' | 'not-now' | 'acknowledged' | 'error' | 'cancelled';
  urgent: boolean;
  deliveryId: string | null;
  queuedAt: Date;
  sentAt: Date | null;
  sentCount: number;
  answeredAt: Date | null;
  answer: object | null;
}

/** A device's newest commands first. */
export async function listCommands(q: Queryable, deviceId: DeviceId, limit: number): Promise<QueuedCommand[]> {
  return await q<QueuedCommand[]>`
    select id as "commandId", request_type as "requestType", state, urgent, delivery_id as "deliveryId",
           queued_at as "queuedAt", sent_at as "sentAt", sent_count as "sentCount", answered_at as "answeredAt", answer
      from command where device_id = ${deviceId} order by sequence desc limit ${limit}`;
}

/** Cancels a command that was not handed out yet; one of a delivery is not an operator's to cancel. */
export async function cancelCommand(
  tx: Transaction,
  commandId: CommandId,
): Promise<'cancelled' | 'not-found' | 'of-a-delivery' | 'handed-out'> {
  const [command] = await tx<{ state: string; deliveryId: string | null }[]>`
    select state, delivery_id as "deliveryId" from command where id = ${commandId} for update`;
  if (!command) return 'not-found';
  if (command.deliveryId !== null) return 'of-a-delivery';
  if (command.state !== 'queued') return 'handed-out';
  await tx`update command set state = 'cancelled', answered_at = now() where id = ${commandId}`;
  return 'cancelled';
}
