/**
 * Owes again what devices refused after a move, so that it is tried anew; the refused delivery is superseded by the new one, with the
 * reason for the refusal in its row. Nothing is owed twice, and what another delivery has settled since stays as it is.
 */
import type { SqlFragment, Transaction } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { announceDeliveries } from './owe-deliveries.ts';

/** @param moves a query for `id` of account_move; through delivery_move. Returns how many are owed again. */
export async function oweAgainAfter(tx: Transaction, moves: SqlFragment): Promise<number> {
  const { count } = await tx`
    with again as materialized (
      select d.id, d.account_id, d.device_id, d.item, d.move_id
        from (${moves}) m
        join delivery d on d.move_id = m.id
       cross join lateral (
         select from device v where v.id = d.device_id and v.state = 'active' and v.removing_since is null offset 0) v
       where d.state = 'failed'
         and not exists (select 1 from delivery n
                          where n.device_id = d.device_id and n.item = d.item and n.id <> d.id
                            and (${deliveryStates.in(tx, 'open', 'n')} or n.settled_at > d.settled_at))
    ), owed as (
      insert into delivery (id, account_id, device_id, item, cause, budgeted, move_id)
      select gen_random_uuid(), a.account_id, a.device_id, a.item, 'retry', true, a.move_id from again a
      on conflict (device_id, item) where state = 'owed' do nothing
    )
    update delivery d set state = 'superseded' from again a where d.id = a.id`;
  if (count > 0) await announceDeliveries(tx);
  return count;
}
