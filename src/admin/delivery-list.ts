/** Deliveries as administrators see them: each with the reason why it waits, never left to be guessed. */
import type { Queryable } from '../database/connection.ts';

export interface ListedDelivery {
  id: string;
  account: string;
  deviceId: string;
  item: string;
  cause: string;
  budgeted: boolean;
  state: string;
  /** The instance that released it; before that, the owner of the account. */
  instance: string | null;
  owedAt: Date;
  releasedAt: Date | null;
  handedOutAt: Date | null;
  settledAt: Date | null;
  failure: string | null;
  /** Null when it is settled. */
  waitingFor: string | null;
}

type Row = Omit<ListedDelivery, 'waitingFor'> & {
  holdReason: string | null;
  pushState: string;
  woken: boolean;
  accountMoving: boolean;
};

const openStates = ['owed', 'released', 'handed-out', 'suspect'];

/** Oldest first; open ones through index delivery_open. */
export async function listDeliveries(q: Queryable, state: string, limit: number): Promise<ListedDelivery[]> {
  const states = state === 'open' ? openStates : [state];
  const rows = await q<Row[]>`
    select d.id, a.name as account, d.device_id as "deviceId", d.item, d.cause, d.budgeted, d.state,
           i.name as instance, d.owed_at as "owedAt", d.released_at as "releasedAt",
           d.handed_out_at as "handedOutAt", d.settled_at as "settledAt", d.failure,
           h.reason as "holdReason", v.push_state as "pushState", d.woken_at is not null as woken,
           exists (select 1 from account_move m where m.account_id = a.id and m.state in ('reserved', 'fenced'))
             as "accountMoving"
      from delivery d
      join account a on a.id = d.account_id
      join device v on v.id = d.device_id
      left join instance i on i.id = coalesce(d.instance_id, a.instance_id)
      left join delivery_hold h on h.instance_id = a.instance_id
     where d.state = any(${states}::text[])
     order by d.owed_at, d.id
     limit ${limit}`;
  return rows.map(({ holdReason, pushState, woken, accountMoving, ...delivery }) => ({
    ...delivery,
    waitingFor: waitingFor({ ...delivery, holdReason, pushState, woken, accountMoving }),
  }));
}

/** The reason in words; pure. */
export function waitingFor(
  delivery: Pick<Row, 'state' | 'budgeted' | 'holdReason' | 'pushState' | 'woken' | 'accountMoving'>,
): string | null {
  switch (delivery.state) {
    case 'owed':
      if (delivery.accountMoving) return 'the move of its account';
      if (!delivery.budgeted) return 'the policy service of its instance, at once';
      return delivery.holdReason === null || delivery.holdReason === 'nothing'
        ? 'its turn at the policy service'
        : holdText(delivery.holdReason);
    case 'released':
      if (delivery.pushState === 'wait-for-token') return 'the device to send a new push token';
      if (!delivery.woken) return 'the device to be woken';
      return delivery.budgeted && delivery.holdReason?.startsWith('slots')
        ? `the device to connect, and then ${holdText(delivery.holdReason)}`
        : 'the device to connect';
    case 'handed-out':
      return 'the answer of the device';
    case 'suspect':
      return 'the device, which took it and fell silent';
    default:
      return null;
  }
}

const holdTexts: Readonly<Record<string, string>> = {
  'rate-instance': "the instance's rate per minute",
  'rate-domain': "the domain's rate per minute",
  'slots-instance': "a slot of the instance's budget",
  'slots-domain': "a slot of the domain's budget",
  suspects: 'suspects to answer: their cap is reached',
};

/** What a hold's reason means; the reason itself where this release has no words for it. */
export function holdText(reason: string): string {
  return holdTexts[reason] ?? reason;
}
