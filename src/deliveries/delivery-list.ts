/** The list of deliveries for administrators. Invariant: each open delivery states what it is waiting for. */
import type { AskedDeliveryState, ListedDelivery } from '../api/deliveries.ts';
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { waitingReasons } from './waiting-reason.ts';

/** Oldest first; open ones through index delivery_open. */
export async function listDeliveries(
  q: Queryable,
  state: AskedDeliveryState,
  limit: number,
): Promise<ListedDelivery[]> {
  const states = state === 'open' ? deliveryStates.sets.open : [state];
  const rows = await q<Omit<ListedDelivery, 'waitingFor'>[]>`
    select d.id, a.name as account, d.device_id as "deviceId", d.item, d.cause, d.budgeted, d.state,
           i.name as instance, v.model as "deviceModel", d.owed_at as "owedAt", d.released_at as "releasedAt",
           d.handed_out_at as "handedOutAt", d.settled_at as "settledAt", d.failure
      from delivery d
      join account a on a.id = d.account_id
      join device v on v.id = d.device_id
      left join instance i on i.id = case when ${deliveryStates.in(q, 'open', 'd')} then a.instance_id
                                          else coalesce(d.instance_id, a.instance_id) end
     where ${deliveryStates.among(q, states, 'd')}
     order by d.owed_at, d.id
     limit ${limit}`;
  const reasons = await waitingReasons(
    q,
    rows.map(({ id }) => id),
  );
  return rows.map((delivery) => ({ ...delivery, waitingFor: reasons.get(delivery.id)?.message ?? null }));
}
