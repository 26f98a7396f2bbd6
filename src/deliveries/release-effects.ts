/**
 * What a release sent while an upgrade had it at work: deliveries that it compiled or its instances handed out, other commands,
 * and what devices still have of it. Each delivery notes who compiled it, each command who handed it out, in every release.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { accountItems } from '../devices/delivery-items.ts';
import { deliveryStates } from '../states/delivery-states.ts';

export interface ReleaseAtWork {
  readonly release: string;
  readonly since: Date;
  readonly until: Date | null;
  /** Its instances, and when each was of this release. */
  readonly instances: readonly { readonly id: string; readonly from: Date; readonly until: Date | null }[];
}

interface SentCounts {
  accountId: string;
  handedOut: number;
  itPolicies: number;
  serviceBooks: number;
  synchronizations: number;
  identities: number;
  done: number;
  failed: number;
  open: number;
  commands: number;
  onDevices: number;
  sendingAgain: number;
}

/** Begins a statement: `effect`, a row for each delivery, and `ordered`, one for each other command. */
function effectTerms(q: Queryable, { release, since, instances }: ReleaseAtWork): SqlFragment {
  return q`
    at_work as materialized (
      select * from unnest(${instances.map(({ id }) => id)}::uuid[],
                           ${instances.map(({ from }) => from.toISOString())}::text[]::timestamptz[],
                           ${instances.map(({ until }) => until?.toISOString() ?? 'infinity')}::text[]::timestamptz[])
        as w(instance_id, from_at, until_at)
    ), handed as materialized (
      select c.account_id, c.delivery_id from command c join at_work w on w.instance_id = c.sent_instance
       where c.sent_at between w.from_at and w.until_at
    ), effect as materialized (
      select d.id, d.account_id, d.device_id, d.item, d.state, d.released_at, d.handed_out_at, d.compiled_by
        from delivery d
       where d.compiled_by = ${release} and d.released_at >= ${since}
       union
      select d.id, d.account_id, d.device_id, d.item, d.state, d.released_at, d.handed_out_at, d.compiled_by
        from handed h join delivery d on d.id = h.delivery_id
    ), ordered as materialized (
      select account_id from handed where delivery_id is null
    )`;
}

/** A device has it from this release: it was done, and nothing later of another release was. Relies on delivery_device. */
function isOnDevice(q: Queryable, release: string): SqlFragment {
  return q`
    ${deliveryStates.among(q, ['done'], 'e')} and e.compiled_by = ${release} and e.item = any(${[...accountItems]}::text[])
    and not exists (select from delivery v
                     where v.device_id = e.device_id and v.item = e.item and v.state = 'done'
                       and v.compiled_by <> ${release} and v.released_at > e.released_at)`;
}

/** By account. One pass over the deliveries of the domain. */
export async function countSent(q: Queryable, atWork: ReleaseAtWork): Promise<SentCounts[]> {
  return await q<SentCounts[]>`
    with ${effectTerms(q, atWork)}, device_item as (
      select e.account_id, e.device_id, e.item,
             bool_or(exists (select from delivery n where n.device_id = e.device_id and n.item = e.item
                                and n.compiled_by is distinct from ${atWork.release}
                                and ${deliveryStates.in(q, 'open', 'n')})) as again
        from effect e where ${isOnDevice(q, atWork.release)}
       group by 1, 2, 3
    ), counted as (
      select e.account_id, count(e.handed_out_at) as handed_out,
             count(e.handed_out_at) filter (where e.item = 'it-policy') as it_policies,
             count(e.handed_out_at) filter (where e.item = 'service-books') as service_books,
             count(e.handed_out_at) filter (where e.item = 'synchronization') as synchronizations,
             count(e.handed_out_at) filter (where e.item = 'device-identity') as identities,
             count(*) filter (where e.state = 'done') as done, count(*) filter (where e.state = 'failed') as failed,
             count(*) filter (where ${deliveryStates.in(q, 'open', 'e')}) as open, 0 as commands, 0 as on_devices, 0 as again
        from effect e group by 1
       union all
      select o.account_id, 0, 0, 0, 0, 0, 0, 0, 0, count(*), 0, 0 from ordered o group by 1
       union all
      select i.account_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(*), count(*) filter (where i.again) from device_item i group by 1
    )
    select account_id as "accountId", sum(handed_out)::int as "handedOut", sum(it_policies)::int as "itPolicies",
           sum(service_books)::int as "serviceBooks", sum(synchronizations)::int as synchronizations,
           sum(identities)::int as identities, sum(done)::int as done, sum(failed)::int as failed, sum(open)::int as open,
           sum(commands)::int as commands, sum(on_devices)::int as "onDevices", sum(again)::int as "sendingAgain"
      from counted group by account_id`;
}

export interface ItemOnDevice {
  accountId: string;
  deviceId: string;
  item: (typeof accountItems)[number];
}

/** What devices have from the release while nothing of another is under way to replace it. */
export async function listOnDevices(q: Queryable, atWork: ReleaseAtWork): Promise<ItemOnDevice[]> {
  return await q<ItemOnDevice[]>`
    with ${effectTerms(q, atWork)}
    select distinct e.account_id as "accountId", e.device_id as "deviceId", e.item from effect e
     where ${isOnDevice(q, atWork.release)}
       and not exists (select from delivery n where n.device_id = e.device_id and n.item = e.item
                          and n.compiled_by is distinct from ${atWork.release} and ${deliveryStates.in(q, 'open', 'n')})`;
}
