/**
 * Queues the deliveries that devices are owed. Invariant: at most one owed delivery per (device, item), whatever
 * happens meanwhile; owing it again updates the same row with the newest cause.
 */

import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { acceptsAllItems, accountItems, type DeliveryItem } from '../devices/delivery-items.ts';
import type { Platforms } from '../platforms/port.ts';

export type DeliveryCause = 'move' | 'policy-change' | 'service-change' | 'activation' | 'manual' | 'retry' | 'renewal';

interface DeliveryDebt {
  /** The devices of these accounts … */
  readonly accountIds?: readonly string[];
  /** … or these devices. Exactly one of the two is given. */
  readonly deviceIds?: readonly string[];
  readonly cause: DeliveryCause;
  readonly moveId?: string;
  /** False for activations and manual requests by an administrator: not limited by rates and slots. */
  readonly budgeted: boolean;
  /** Default: all items of the account that the device can take. */
  readonly items?: readonly DeliveryItem[];
}

interface OwedDelivery {
  readonly id: string;
  readonly deviceId: string;
  readonly accountId: string;
  readonly item: DeliveryItem;
}

/**
 * Inserts or renews the owed deliveries of every active device that is to stay, for the items that it can take, in one
 * statement. Called inside the transaction that makes them due (the move, the change of a policy); those already owed
 * keep their place in the queue, and stay unbudgeted once requested by hand. By device_account or the primary key of
 * device (`is true`: no index of active devices serves instead); the unique index delivery_owed decides between insert
 * and update. The caller holds the account fence or the release lock.
 * @throws BrambleError ERR_DELIVERY_TARGET if neither accounts nor devices are named.
 */
export async function oweDeliveries(q: Queryable, platforms: Platforms, debt: DeliveryDebt): Promise<OwedDelivery[]> {
  if ((debt.accountIds === undefined) === (debt.deviceIds === undefined)) {
    throw new BrambleError(
      'ERR_DELIVERY_TARGET',
      'A delivery is owed either to accounts or to devices: name one of them.',
    );
  }
  const ids = [...new Set(debt.accountIds ?? debt.deviceIds)];
  if (ids.length === 0) return [];
  const target = debt.accountIds ? q`d.account_id = any(${ids}::uuid[])` : q`d.id = any(${ids}::uuid[])`;
  return await q<OwedDelivery[]>`
    insert into delivery (id, account_id, device_id, item, cause, move_id, budgeted)
    select gen_random_uuid(), d.account_id, d.id, i.item, ${debt.cause}, ${debt.moveId ?? null}::uuid, ${debt.budgeted}
      from device d
     cross join unnest(${[...(debt.items ?? accountItems)]}::text[]) with ordinality as i(item, position)
     where ${target} and (d.state = 'active') is true and d.removing_since is null 
       and (i.item in ('it-policy', 'device-identity') or ${acceptsAllItems(q, platforms)})
     order by d.id, i.position
    on conflict (device_id, item) where state = 'owed' do update
       set cause = excluded.cause,
           move_id = coalesce(excluded.move_id, delivery.move_id),
           budgeted = delivery.budgeted and excluded.budgeted
    returning id, device_id as "deviceId", account_id as "accountId", item`;
}

/**
 * Makes every instance's policy service check now instead of at its next turn. Not for hot paths: it serialises
 * commits.
 */
export async function announceDeliveries(q: Queryable): Promise<void> {
  await q`select pg_notify('bramble_delivery', '')`;
}
