/**
 * Why a delivery waits, so that nobody mistakes a delay for a fault. The decision is pure. Invariant: every delivery
 * that is not settled has exactly one reason.
 */

import { isMarked } from '../accounts/account-fence.ts';
import { assertNever } from '../base/assert-never.ts';
import type { Queryable } from '../database/connection.ts';
import { handOutsShown } from '../devices/unanswered-commands.ts';
import { deliveryStates, type OpenDeliveryState } from '../states/delivery-states.ts';
import { canBeWoken } from '../states/stored-names.ts';
import { holdText } from './hold-text.ts';
import type { HoldReason } from './situation.ts';

type WaitingReason =
  /** Nothing holds it back: the next turn releases it. */
  | 'next-turn'
  | Exclude<HoldReason, 'nothing'>
  | 'account-moving'
  | 'device-not-active'
  /** No instance currently serves the account's deliveries. */
  | 'instance-silent'
  | 'push-token-missing'
  | 'being-woken'
  /** Woken, and not seen since. */
  | 'device-asleep'
  /** The device fell silent, and the delivery was taken back for the benefit of others. */
  | 'taken-back'
  | 'not-now'
  /** With the device: waiting for its answer. */
  | 'answer'
  /** With a device that has been silent for too long. */
  | 'suspect'
  /** With a device that has fetched it repeatedly without answering. */
  | 'unanswered';

/** The facts behind the reason. Times in milliseconds since the epoch. */
export interface WaitingFacts {
  readonly state: OpenDeliveryState;
  readonly budgeted: boolean;
  readonly deviceActive: boolean;
  readonly accountMoving: boolean;
  readonly canBePushed: boolean;
  readonly answeredLater: boolean;
  /** Hand-outs of its command since the last readable answer. */
  readonly unanswered: number;
  readonly wokenAt: number | null;
  readonly lastSeenAt: number | null;
  readonly handedOutAt: number | null;
  /** Of the account's instance; null if it has recorded none for a while. */
  readonly hold: HoldReason | null;
}

interface Waiting {
  readonly reason: WaitingReason;
  /** Since when this reason holds, if known. */
  readonly since: Date | null;
  readonly message: string;
}

export function waitingReason(facts: WaitingFacts): Waiting {
  const reason = reasonOf(facts);
  const since = sinceOf(reason, facts);
  return { reason, since, message: messages[reason] + (since ? `, since ${since.toISOString()}` : '') };
}

function reasonOf(facts: WaitingFacts): WaitingReason {
  if (!facts.deviceActive) return 'device-not-active';
  const isOut = deliveryStates.has('with-device', facts.state);
  if (isOut && facts.unanswered >= handOutsShown) return 'unanswered';
  switch (facts.state) {
    case 'suspect':
      return 'suspect';
    case 'handed-out':
      return 'answer';
    case 'owed':
      if (facts.accountMoving) return 'account-moving';
      if (facts.hold === null) return 'instance-silent';
      return facts.budgeted && facts.hold !== 'nothing' ? facts.hold : 'next-turn';
    case 'released':
      return released(facts);
    default:
      return assertNever(facts.state);
  }
}

function released(facts: WaitingFacts): WaitingReason {
  if (facts.answeredLater) return 'not-now';
  if (!facts.canBePushed) return 'push-token-missing';
  if (facts.wokenAt === null) return facts.accountMoving ? 'account-moving' : 'being-woken';
  const came = facts.lastSeenAt !== null && facts.lastSeenAt >= facts.wokenAt;
  if (!came) return facts.handedOutAt === null ? 'device-asleep' : 'taken-back';
  if (facts.budgeted && needsSlot(facts.hold)) return facts.hold;
  return 'being-woken';
}

function needsSlot(hold: HoldReason | null): hold is 'slots-instance' | 'slots-domain' | 'suspects' {
  return hold === 'slots-instance' || hold === 'slots-domain' || hold === 'suspects';
}

function sinceOf(reason: WaitingReason, facts: WaitingFacts): Date | null {
  switch (reason) {
    case 'device-asleep':
      return new Date(facts.lastSeenAt ?? facts.wokenAt ?? 0);
    case 'being-woken':
      return facts.wokenAt === null ? null : new Date(facts.wokenAt);
    case 'answer':
    case 'suspect':
    case 'taken-back':
    case 'unanswered':
      return facts.handedOutAt === null ? null : new Date(facts.handedOutAt);
    default:
      return null;
  }
}

/** The limiting factor that an instance has recorded, in words. */
export function holdMessage(reason: Exclude<HoldReason, 'nothing'>): string {
  return `waiting for ${holdText(reason)}`;
}

const messages: Readonly<Record<WaitingReason, string>> = {
  'next-turn': 'waiting for the policy service’s next turn',
  'rate-instance': holdMessage('rate-instance'),
  'rate-domain': holdMessage('rate-domain'),
  'slots-instance': holdMessage('slots-instance'),
  'slots-domain': holdMessage('slots-domain'),
  suspects: holdMessage('suspects'),
  'account-moving': 'waiting for its account’s move to finish',
  'device-not-active': 'waiting for the device to be managed again',
  'instance-silent': 'waiting for its instance, which is not reporting',
  'push-token-missing': 'waiting for the device to connect by itself: it cannot be woken until it sends its push token',
  'being-woken': 'waiting for the device, which is being woken',
  'device-asleep': 'waiting for the device, which was woken and has not connected',
  'taken-back': 'will be sent again when the device connects: it received it before and fell silent',
  'not-now': 'waiting for the device, which answered “not now”, to be in use',
  answer: 'on the device; waiting for its answer',
  suspect: 'on the device, which has been silent for too long',
  unanswered: `handed to the device ${handOutsShown} times or more without an answer`,
};

interface FactRow extends WaitingFacts {
  id: string;
}

/**
 * Delivery id -> why it waits; settled ones and unknown ids are left out. By delivery_pkey, device_pkey, account_pkey,
 * command_delivery; no locks. An instance that has written no hold for 10 s counts as silent.
 */
export async function waitingReasons(q: Queryable, deliveryIds: readonly string[]): Promise<Map<string, Waiting>> {
  if (deliveryIds.length === 0) return new Map();
  const rows = await q<FactRow[]>`
    select d.id, d.state, d.budgeted, v.state = 'active' as "deviceActive",
           ${isMarked(q, q`d.account_id`)} as "accountMoving",
           ${canBeWoken(q, 'v')} as "canBePushed",
           (select count(*) from command c where c.delivery_id = d.id and (c.state = 'not-now') is true) > 0 as "answeredLater",
           coalesce((select max(c.unanswered) from command c
                      where c.delivery_id = d.id and (c.state = 'sent') is true), 0) as unanswered,
           (extract(epoch from greatest(d.woken_at, v.woken_at)) * 1000)::float8 as "wokenAt",
           (extract(epoch from v.last_seen_at) * 1000)::float8 as "lastSeenAt",
           (extract(epoch from d.handed_out_at) * 1000)::float8 as "handedOutAt",
           case when h.updated_at > clock_timestamp() - interval '10 seconds' then h.reason end as hold
      from delivery d
      join device v on v.id = d.device_id
      join account a on a.id = d.account_id
      left join delivery_hold h on h.instance_id = a.instance_id
     where d.id = any(${deliveryIds as string[]}::uuid[]) and ${deliveryStates.in(q, 'open', 'd')}`;
  return new Map(rows.map((row) => [row.id, waitingReason(row)]));
}
