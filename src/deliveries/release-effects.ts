/**
 * What a release sent while an upgrade had it at work: deliveries that it compiled or its instances handed out, other commands,
 * and what devices still have of it. Each delivery notes who compiled it, each command who handed it out, in every release.
 */
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { accountItems } from '../devices/delivery-items.ts';
import { commandStates } from '../states/command-states.ts';
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

/**
 * Begins a statement: `effect`, a row for each delivery, and `ordered`, one for each other command; of these accounts, by device_account,
 * delivery_device and command_history, or, in one pass, of all.
 */
function effectTerms(
  q: Queryable,
  { release, since, instances }: ReleaseAtWork,
  accountIds: readonly string[] | undefined,
): SqlFragment {
  const own = accountIds === undefined ? null : ownDevices(q, accountIds);
  const handedOver =
    own === null
      ? q`handed h join delivery d on d.id = h.delivery_id`
      : q`handed h cross join lateral (${deliveryOf(q)}) d`;
  return q`
    ${own === null ? q`` : q`${own},`}
    at_work as materialized (
      select * from unnest(${instances.map(({ id }) => id)}::uuid[],
                           ${instances.map(({ from }) => from.toISOString())}::text[]::timestamptz[],
                           ${instances.map(({ until }) => until?.toISOString() ?? 'infinity')}::text[]::timestamptz[])
        as w(instance_id, from_at, until_at)
    ), handed as materialized (
      select c.account_id, c.delivery_id from ${own === null ? q`command c` : ofOwnDevices(q, 'command', 'c')}
        join at_work w on w.instance_id = c.sent_instance
       where c.sent_at between w.from_at and w.until_at
    ), effect as materialized (
      select d.id, d.account_id, d.device_id, d.item, d.state, d.released_at, d.handed_out_at, d.compiled_by
        from ${own === null ? q`delivery d` : ofOwnDevices(q, 'delivery', 'd')}
       where d.compiled_by = ${release} and d.released_at >= ${since}
       union
      select d.id, d.account_id, d.device_id, d.item, d.state, d.released_at, d.handed_out_at, d.compiled_by
        from ${handedOver}
    ), ordered as materialized (
      select account_id from handed where delivery_id is null
    )`;
}

/** Looked up one by one, whatever the planner knows of the rows; likewise the next. */
function deliveryOf(q: Queryable): SqlFragment {
  return q`select x.* from delivery x where x.id = h.delivery_id offset 0`;
}

function ofOwnDevices(q: Queryable, table: 'command' | 'delivery', alias: string): SqlFragment {
  return q`own_device o cross join lateral (select x.* from ${q(table)} x where x.device_id = o.id offset 0) ${q(alias)}`;
}

/** The devices of the accounts; what is asked for some accounts is looked up by these. */
function ownDevices(q: Queryable, accountIds: readonly string[]): SqlFragment {
  return q`own_device as materialized (select v.id from device v where v.account_id = any(${accountIds as string[]}::uuid[]))`;
}

/** What was compiled by this release for accounts, unless a device has had something later of another. Relies on delivery_device. */
function isLatest(q: Queryable, release: string): SqlFragment {
  return q`
    e.compiled_by = ${release} and e.item = any(${[...accountItems]}::text[])
    and not exists (select from delivery v
                     where v.device_id = e.device_id and v.item = e.item and v.state = 'done'
                       and v.compiled_by <> ${release} and v.released_at > e.released_at offset 0)`;
}

/** A device has it from this release, and nothing later of another. */
function isOnDevice(q: Queryable, release: string): SqlFragment {
  return q`${deliveryStates.among(q, ['done'], 'e')} and ${isLatest(q, release)}`;
}

/** By account; of these, or of all in one pass over the deliveries of the domain. */
export async function countSent(
  q: Queryable,
  atWork: ReleaseAtWork,
  accountIds?: readonly string[],
): Promise<SentCounts[]> {
  return await q<SentCounts[]>`
    with ${effectTerms(q, atWork, accountIds)}, device_item as (
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

export interface DeviceItem {
  accountId: string;
  deviceId: string;
  item: (typeof accountItems)[number];
}

/**
 * What these accounts' devices have from the release, or may have by now, while nothing of another is under way to replace it:
 * one that was handed out and not answered counts, too.
 */
export async function listToReplace(
  q: Queryable,
  atWork: ReleaseAtWork,
  accountIds: readonly string[],
): Promise<DeviceItem[]> {
  return await q<DeviceItem[]>`
    with ${effectTerms(q, atWork, accountIds)}
    select distinct e.account_id as "accountId", e.device_id as "deviceId", e.item from effect e
     where (${deliveryStates.among(q, ['done'], 'e')} or ${deliveryStates.in(q, 'carried', 'e')})
       and ${isLatest(q, atWork.release)}
       and not exists (select from delivery n where n.device_id = e.device_id and n.item = e.item
                          and n.compiled_by is distinct from ${atWork.release} and ${deliveryStates.in(q, 'open', 'n')} offset 0)`;
}

/** The reason that such a delivery ends with. */
const withdrawnText = 'withdrawn before it was handed out: the release that compiled it was reversed';

/**
 * Takes back from the queues of these accounts' devices what the release compiled and nobody handed out yet: it would still
 * reach them, by whatever release serves them now. Returns whose items are owed anew for that. Takes the accounts' rows FOR NO
 * KEY UPDATE, which a device that connects holds FOR SHARE, and sees the command as it is then.
 */
export async function withdrawQueued(
  tx: Transaction,
  { release, since }: Pick<ReleaseAtWork, 'release' | 'since'>,
  accountIds: readonly string[],
): Promise<DeviceItem[]> {
  return await tx<DeviceItem[]>`
    with ${ownDevices(tx, accountIds)}, queued as materialized (
      select d.id, d.account_id from ${ofOwnDevices(tx, 'delivery', 'd')}
       where d.compiled_by = ${release} and d.released_at >= ${since}
         and d.item = any(${[...accountItems]}::text[]) and ${deliveryStates.among(tx, ['released'], 'd')} and d.handed_out_at is null
    ), locked as materialized (
      select a.id from account a where a.id = any(array(select q.account_id from queued q)) order by a.id for no key update
    ), waiting as materialized (
      select c.id, c.delivery_id from command c join queued q on q.id = c.delivery_id join locked l on l.id = q.account_id
       where ${commandStates.among(tx, ['queued'], 'c')} order by c.id for update of c
    ), cancelled as (
      update command c set state = 'cancelled', answered_at = statement_timestamp() from waiting w where c.id = w.id
      returning c.delivery_id
    )
    update delivery d set state = 'superseded', settled_at = clock_timestamp(), failure = ${withdrawnText}
      from cancelled c where d.id = c.delivery_id and ${deliveryStates.among(tx, ['released'], 'd')}
    returning d.account_id as "accountId", d.device_id as "deviceId", d.item`;
}
