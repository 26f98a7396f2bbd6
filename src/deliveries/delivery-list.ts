/** The list of deliveries for administrators. Invariant: each open delivery states what it is waiting for. */
import { type AccountConditions, chooseAccounts } from '../accounts/account-choice.ts';
import type { AskedDeliveryState, ListedDelivery } from '../api/deliveries.ts';
import type { Queryable } from '../database/connection.ts';
import { type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { waitingReasons } from './waiting-reason.ts';

const sorts: Sorts<'owedAt'> = {
  owedAt: [
    { kind: 'time', of: (q) => q`d.owed_at` },
    { kind: 'id', of: (q) => q`d.id` },
  ],
};

interface DeliveryFilter extends PageAsked<'owedAt'> {
  readonly state: AskedDeliveryState;
  readonly accounts: AccountConditions;
}

/** Open ones through index delivery_open. */
export async function listDeliveries(
  q: Queryable,
  filter: DeliveryFilter,
): Promise<{ deliveries: readonly ListedDelivery[]; next: string | null }> {
  const states = filter.state === 'open' ? deliveryStates.sets.open : [filter.state];
  const page = pageOf(q, { name: 'deliveries', sorts }, filter);
  const { fits } = await chooseAccounts(q, filter.accounts);
  const found = await q<(Omit<ListedDelivery, 'waitingFor'> & Keyed)[]>`
    select d.id, a.name as account, d.device_id as "deviceId", d.item, d.cause, d.budgeted, d.state,
           i.name as instance, v.model as "deviceModel", d.owed_at as "owedAt", d.released_at as "releasedAt",
           d.handed_out_at as "handedOutAt", d.settled_at as "settledAt", d.failure,
           ${page.keys} as keys
      from delivery d
      join account a on a.id = d.account_id
      join device v on v.id = d.device_id
      left join instance i on i.id = case when ${deliveryStates.in(q, 'open', 'd')} then a.instance_id
                                          else coalesce(d.instance_id, a.instance_id) end
     where ${deliveryStates.among(q, states, 'd')} and ${page.condition} and ${fits(q, q`d.account_id`)}
     order by ${page.order()}
     limit ${page.most}`;
  const { rows, next } = page.cut(found);
  const reasons = await waitingReasons(
    q,
    rows.map(({ id }) => id),
  );
  const deliveries = rows.map((delivery) => ({ ...delivery, waitingFor: reasons.get(delivery.id)?.message ?? null }));
  return { deliveries, next };
}
