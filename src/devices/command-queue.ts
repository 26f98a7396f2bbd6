/** A device's command queue, as administrators see and fill it. */
import type { AccountId, CommandId, DeviceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';
import { type CommandState, commandStates, type PendingCommandState } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { lockAccountOf } from './device-fence.ts';
import { cancelledByOperator } from './unanswered-commands.ts';

export interface NewCommand {
  commandId: CommandId;
  deviceId: DeviceId;
  requestType: string;
  /** The whole message as the device gets it. */
  body: Uint8Array;
  /** Jumps the queue, as remote commands do. */
  urgent: boolean;
}

/**
 * Queues an operator's command; `not-active` when the device is not under management. Takes the account's row FOR
 * SHARE: it waits for a move that is being committed, and the command belongs to the account's owner after that.
 */
export async function queueCommand(
  tx: Transaction,
  command: NewCommand,
): Promise<'queued' | 'not-found' | 'not-active'> {
  await lockAccountOf(tx, tx`d.id = ${command.deviceId}`, 'share');
  const [device] = await tx<{ accountId: AccountId; state: string }[]>`
    select d.account_id as "accountId", d.state from device d where d.id = ${command.deviceId}`;
  if (!device) return 'not-found';
  if (device.state !== 'active') return 'not-active';
  await tx`
    insert into command (id, device_id, account_id, request_type, body, urgent)
    values (${command.commandId}, ${command.deviceId}, ${device.accountId}, ${command.requestType},
            ${command.body as Buffer}, ${command.urgent})`;
  await tx`select pg_notify('bramble_delivery', '')`;
  return 'queued';
}

interface QueuedCommand {
  commandId: CommandId;
  requestType: string;
  state: CommandState;
  urgent: boolean;
  deliveryId: string | null;
  queuedAt: Date;
  sentAt: Date | null;
  sentCount: number;
  /** Hand-outs since its last readable answer. */
  unanswered: number;
  answeredAt: Date | null;
  answer: object | null;
}

/** By index command_history: commands are queued in the order of their numbers. */
const sorts: Sorts<'queuedAt'> = { queuedAt: [{ kind: 'number', of: (q) => q`sequence` }] };

export async function listCommands(
  q: Queryable,
  deviceId: DeviceId,
  asked: PageAsked<'queuedAt'>,
): Promise<{ rows: readonly QueuedCommand[]; next: string | null }> {
  const page = pageOf(q, { name: 'commands', sorts }, asked);
  const rows = await q<(QueuedCommand & Keyed)[]>`
    select id as "commandId", request_type as "requestType", state, urgent, delivery_id as "deliveryId",
           queued_at as "queuedAt", sent_at as "sentAt", sent_count as "sentCount", unanswered, answered_at as "answeredAt", answer,
           ${page.keys} as keys
      from command where device_id = ${deviceId} and ${page.condition} order by ${page.order()} limit ${page.most}`;
  return page.cut(rows);
}

/** A command by its id, or all pending commands of a device. */
export type CommandChoice = { readonly commandId: CommandId } | { readonly deviceId: DeviceId };

export type ChangedCommands =
  | { readonly kind: 'changed'; readonly commands: number; readonly deliveries: number }
  | { readonly kind: 'not-found' }
  /** Answered or cancelled already. */
  | { readonly kind: 'settled' }
  /** With the device, and the request does not include commands that were handed out. */
  | { readonly kind: 'handed-out' };

/**
 * Cancels the selected commands that are not settled: waiting ones, and with `handedOut` also those the device already
 * has, whose late answers are accepted and ignored. The delivery behind a command fails and its permits are released.
 */
export async function cancelCommands(
  tx: Transaction,
  choice: CommandChoice,
  { handedOut }: { readonly handedOut: boolean },
): Promise<ChangedCommands> {
  const pending = await lockPending(tx, choice);
  if (pending.kind !== 'pending') return pending;
  const chosen = pending.commands.filter((command) => handedOut || command.state !== 'sent');
  if (chosen.length === 0 && pending.commands.length > 0) return { kind: 'handed-out' };
  const [row] = await tx<{ deliveries: number }[]>`
    with cancelled as (
      update command set state = 'cancelled', answered_at = statement_timestamp()
       where id = any(${chosen.map(({ id }) => id)}::uuid[])
      returning delivery_id
    ), ended as (
      update delivery set state = 'failed', settled_at = clock_timestamp(), failure = ${cancelledByOperator}
       where id in (select delivery_id from cancelled) and ${deliveryStates.in(tx, 'carried')}
      returning id
    ), given_back as (
      update delivery_permit set delivery_id = null, taken_at = null where delivery_id in (select id from ended)
    )
    select count(*)::int as deliveries from ended`;
  return { kind: 'changed', commands: chosen.length, deliveries: row?.deliveries ?? 0 };
}

/**
 * Puts the selected unsettled commands back into the queue as if never handed out: their permits are released, their
 * hand-out counts restart, and the device is woken. The device may still answer a command that it already has.
 */
export async function requeueCommands(tx: Transaction, choice: CommandChoice): Promise<ChangedCommands> {
  const pending = await lockPending(tx, choice);
  if (pending.kind !== 'pending') return pending;
  const ids = pending.commands.map(({ id }) => id);
  const [row] = await tx<{ deliveries: number }[]>`
    with requeued as (
      update command set state = 'queued', queued_at = clock_timestamp(), unanswered = 0
       where id = any(${ids}::uuid[])
      returning delivery_id
    ), waiting as (
      update delivery set state = 'released'
       where id in (select delivery_id from requeued) and ${deliveryStates.in(tx, 'with-device')}
      returning id
    ), given_back as (
      update delivery_permit set delivery_id = null, taken_at = null where delivery_id in (select id from waiting)
    )
    select count(*)::int as deliveries from waiting`;
  await tx`select pg_notify('bramble_delivery', '')`;
  return { kind: 'changed', commands: ids.length, deliveries: row?.deliveries ?? 0 };
}

interface PendingCommand {
  id: CommandId;
  state: PendingCommandState;
}

/**
 * Takes the account's row FOR NO KEY UPDATE first, which writers of the account hold FOR SHARE: so none is active, a
 * device that connects meanwhile is retried some milliseconds later, and there is no deadlock.
 */
async function lockPending(
  tx: Transaction,
  choice: CommandChoice,
): Promise<
  { kind: 'pending'; commands: readonly PendingCommand[] } | Extract<ChangedCommands, { kind: 'not-found' | 'settled' }>
> {
  const chosen =
    'commandId' in choice
      ? tx`d.id = (select c.device_id from command c where c.id = ${choice.commandId})`
      : tx`d.id = ${choice.deviceId}`;
  const deviceId = await lockAccountOf(tx, chosen, 'no key update');
  if (deviceId === undefined) return { kind: 'not-found' };
  const commands = await tx<PendingCommand[]>`
    select id, state from command
     where device_id = ${deviceId} and ${commandStates.in(tx, 'pending')}
       ${'commandId' in choice ? tx`and id = ${choice.commandId}` : tx``}
     order by id for update`;
  if (commands.length === 0 && 'commandId' in choice) return { kind: 'settled' };
  return { kind: 'pending', commands };
}
