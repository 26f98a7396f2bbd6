/**
 * Releasing: an owed delivery becomes a queued command. Rates are charged in the same transaction. Invariant: released
 * content was compiled from the current state. A delivery renewed since its content was read (a policy changed) is
 * recognised by the version of its row and left for the next turn; one whose account has another owner or epoch by now
 * is left to that owner. A process that has been replaced compiles nothing, however long it takes to end: its release may be what
 * is repaired.
 */
import { fencedAccounts, isServedBy } from '../accounts/account-fence.ts';
import type { Database, Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { type DeliveryItem, deliveryItems } from '../devices/delivery-items.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { atOnce, isRipe, type PaceAfterMove } from './after-move.ts';
import type { DeliveryCause } from './owe-deliveries.ts';
import { availableTokens, type Bucket, refill, takeTokens } from './token-bucket.ts';

/** An owed delivery with what its content depends on. */
export interface Candidate {
  readonly id: string;
  /** Version of the row: changes whenever the delivery is owed again. */
  readonly version: string;
  readonly item: DeliveryItem;
  readonly cause: DeliveryCause;
  readonly budgeted: boolean;
  readonly accountId: string;
  readonly epoch: string;
  readonly accountName: string;
  readonly displayName: string;
  readonly deviceId: string;
  readonly platform: string;
  readonly product: string | null;
  readonly osVersion: string | null;
  readonly softwareVersion: string | null;
  /** The device's revision of this item, as far as it reported one. */
  readonly appliedRevision: string | null;
}

/** A candidate with its command. */
export interface PreparedDelivery {
  readonly candidate: Candidate;
  readonly revision: string;
  readonly commandId: string;
  readonly requestType: string;
  readonly body: Uint8Array;
}

/**
 * Owed deliveries of the instance's accounts to active devices, oldest first, those of one device together in the order
 * in which it receives them. By delivery_owed_budgeted or delivery_owed_unbudgeted in their order, account_pkey and
 * device_pkey row by row, so that it reads only the wanted rows and those of other instances before them; no locks.
 */
export async function listOwed(
  q: Queryable,
  instanceId: string,
  budgeted: boolean,
  limit: number,
  pace: PaceAfterMove = atOnce,
): Promise<Candidate[]> {
  return await q<Candidate[]>`
    select d.id, d.xmin::text as version, d.item, d.cause, d.budgeted,
           a.id as "accountId", a.epoch::text as epoch, a.name as "accountName", a.display_name as "displayName",
           v.id as "deviceId", v.platform, v.product, v.os_version as "osVersion", v.software_version as "softwareVersion",
           case d.item when 'it-policy' then v.applied_policy_revision
                       when 'service-books' then v.applied_books_revision end as "appliedRevision"
      from delivery d
     cross join lateral (
       select a.id, a.epoch, a.name, a.display_name from account a
        where a.id = d.account_id and ${isServedBy(q, instanceId)} offset 0) a
     cross join lateral (
       select v.id, v.platform, v.product, v.os_version, v.software_version, v.applied_policy_revision, v.applied_books_revision
         from device v where v.id = d.device_id and v.state = 'active' offset 0) v
     where d.state = 'owed' and ${budgeted ? q`d.budgeted and ${isRipe(q, pace)}` : q`not d.budgeted`}
     order by d.owed_at, d.device_id, array_position(${[...deliveryItems]}::text[], d.item)
     limit ${limit}`;
}

/** Who compiles: noted with each delivery. */
export interface Compiler {
  readonly instanceId: string;
  readonly release: string;
  /** A condition of SQL: another process serves in its place, and it may compile nothing any more. Default: none ever does. */
  readonly isReplaced?: (q: Queryable) => SqlFragment;
}

/** Queues the commands and marks the deliveries released; returns the ids of those that were. */
export async function releaseUnbudgeted(
  q: Queryable,
  release: Compiler,
  prepared: readonly PreparedDelivery[],
): Promise<string[]> {
  return await queueCommands(q, release, prepared);
}

interface BudgetedRelease {
  readonly released: readonly string[];
  /** The buckets' contents afterwards. */
  readonly tokens: { readonly instance: number; readonly domain: number };
}

/**
 * The same for budgeted deliveries: as many, from the front, as both buckets cover. Locks the two send_rate rows in the
 * order of their scope for the length of this short transaction; refilling uses the database's clock.
 */
export async function releaseBudgeted(
  db: Database,
  release: Compiler,
  prepared: readonly PreparedDelivery[],
): Promise<BudgetedRelease> {
  const outcome = await db.begin(async (tx): Promise<BudgetedRelease> => {
    await tx`set local statement_timeout = '3s'`;
    const buckets = await lockBuckets(tx, release.instanceId);
    const affordable = Math.min(availableTokens(buckets.instance), availableTokens(buckets.domain));
    const released = affordable === 0 ? [] : await queueCommands(tx, release, prepared.slice(0, affordable));
    const instance = takeTokens(buckets.instance, released.length);
    const domain = takeTokens(buckets.domain, released.length);
    if (released.length > 0) await storeBuckets(tx, { [release.instanceId]: instance, domain });
    return { released, tokens: { instance: instance.tokens, domain: domain.tokens } };
  });
  return outcome as BudgetedRelease;
}

/** Current contents of both buckets, without a lock: enough to decide how many deliveries are worth compiling. */
export async function readTokens(q: Queryable, instanceId: string): Promise<{ instance: number; domain: number }> {
  const buckets = bucketsOf(await selectBuckets(q, instanceId, false), instanceId);
  return { instance: buckets.instance.tokens, domain: buckets.domain.tokens };
}

async function lockBuckets(tx: Transaction, instanceId: string): Promise<{ instance: Bucket; domain: Bucket }> {
  return bucketsOf(await selectBuckets(tx, instanceId, true), instanceId);
}

interface BucketRow extends Bucket {
  scope: string;
  nowSeconds: number;
}

async function selectBuckets(q: Queryable, instanceId: string, locked: boolean): Promise<BucketRow[]> {
  return await q<BucketRow[]>`
    select scope, per_minute as "perMinute", tokens,
           extract(epoch from refilled_at)::float8 as "refilledAtSeconds",
           extract(epoch from clock_timestamp())::float8 as "nowSeconds"
      from send_rate where scope in (${instanceId}, 'domain') order by scope ${locked ? q`for update` : q``}`;
}

function bucketsOf(rows: readonly BucketRow[], instanceId: string): { instance: Bucket; domain: Bucket } {
  const of = (scope: string): Bucket => {
    const row = rows.find((candidate) => candidate.scope === scope);
    // Without a row nothing may be sent: the budget has not been applied to this instance yet.
    return row ? refill(row, row.nowSeconds) : { perMinute: 0, tokens: 0, refilledAtSeconds: 0 };
  };
  return { instance: of(instanceId), domain: of('domain') };
}

async function storeBuckets(tx: Transaction, buckets: Readonly<Record<string, Bucket>>): Promise<void> {
  const entries = Object.entries(buckets);
  await tx`
    update send_rate s set tokens = b.tokens, refilled_at = to_timestamp(b.seconds)
      from unnest(${entries.map(([scope]) => scope)}::text[], ${entries.map(([, b]) => b.tokens)}::float8[],
                  ${entries.map(([, b]) => b.refilledAtSeconds)}::float8[]) as b(scope, tokens, seconds)
     where s.scope = b.scope`;
}

function isReplaced(q: Queryable, by: Compiler): SqlFragment {
  return by.isReplaced?.(q) ?? q`false`;
}

/**
 * The fenced statement behind both. Locks the accounts FOR SHARE and the deliveries FOR UPDATE, both SKIP LOCKED, so
 * that one moving account delays nobody: skipped deliveries stay owed. By account_pkey and delivery_pkey:
 * `any(array(…))` makes the planner use them even if it thinks the tables are small.
 */
async function queueCommands(q: Queryable, by: Compiler, prepared: readonly PreparedDelivery[]): Promise<string[]> {
  if (prepared.length === 0) return [];
  const rows = await q<{ deliveryId: string }[]>`
    with prepared as materialized (
      select delivery_id, version, account_id, epoch, revision, command_id, request_type, decode(body, 'base64') as body, position
        from unnest(
          ${prepared.map((p) => p.candidate.id)}::uuid[], ${prepared.map((p) => p.candidate.version)}::text[],
          ${prepared.map((p) => p.candidate.accountId)}::uuid[], ${prepared.map((p) => p.candidate.epoch)}::bigint[],
          ${prepared.map((p) => p.revision)}::text[], ${prepared.map((p) => p.commandId)}::uuid[],
          ${prepared.map((p) => p.requestType)}::text[],
          ${prepared.map((p) => Buffer.from(p.body).toString('base64'))}::text[]
        ) with ordinality as p(delivery_id, version, account_id, epoch, revision, command_id, request_type, body, position)
    ), fence as materialized (
      ${fencedAccounts(q, by.instanceId, q`select distinct p.account_id from prepared p`)}
    ), current as materialized (
      select d.id from delivery d
        join prepared p on p.delivery_id = d.id
        join fence f on f.id = p.account_id and f.epoch = p.epoch
       where d.id = any(array(select r.delivery_id from prepared r)) and d.state = 'owed' and d.xmin::text = p.version
         and not ${isReplaced(q, by)}
       order by d.id
         for update of d skip locked
    ), released as (
      update delivery d
         set state = 'released', revision = p.revision, compiled_by = ${by.release}, instance_id = ${by.instanceId},
             released_at = clock_timestamp()
        from prepared p join current c on c.id = p.delivery_id
       where d.id = p.delivery_id and d.id = any(array(select u.id from current u)) and d.state = 'owed'
      returning d.id, d.device_id, d.account_id, d.budgeted
    )
    insert into command (id, device_id, account_id, delivery_id, budgeted, request_type, body)
    select p.command_id, r.device_id, r.account_id, r.id, r.budgeted, p.request_type, p.body
      from prepared p join released r on r.id = p.delivery_id
     order by p.position
    returning delivery_id as "deliveryId"`;
  return rows.map((row) => row.deliveryId);
}

/** An owed delivery that is settled without sending anything. */
export interface Settlement {
  readonly candidate: Candidate;
  readonly revision: string | null;
  /** `superseded` if nothing is owed after all, `failed` if there is nothing that could be sent. */
  readonly state: 'superseded' | 'failed';
  readonly reason: string;
}

/**
 * Settles them, fenced like a release; returns the ids of those that were. One that is superseded while an older
 * delivery of the same item is still on its way to the device stays owed: it is not known yet what the device will have
 * then.
 */
export async function settleWithoutSending(
  q: Queryable,
  by: Compiler,
  settlements: readonly Settlement[],
): Promise<string[]> {
  if (settlements.length === 0) return [];
  const rows = await q<{ id: string }[]>`
    with settlement as materialized (
      select id, version, account_id, epoch, revision, state, reason
        from unnest(
          ${settlements.map((s) => s.candidate.id)}::uuid[], ${settlements.map((s) => s.candidate.version)}::text[],
          ${settlements.map((s) => s.candidate.accountId)}::uuid[], ${settlements.map((s) => s.candidate.epoch)}::bigint[],
          ${settlements.map((s) => s.revision)}::text[], ${settlements.map((s) => s.state)}::text[],
          ${settlements.map((s) => s.reason)}::text[]) as s(id, version, account_id, epoch, revision, state, reason)
    ), fence as materialized (
      ${fencedAccounts(q, by.instanceId, q`select distinct s.account_id from settlement s`)}
    ), current as materialized (
      select d.id from delivery d
        join settlement s on s.id = d.id
        join fence f on f.id = s.account_id and f.epoch = s.epoch
       where d.id = any(array(select t.id from settlement t)) and d.state = 'owed' and d.xmin::text = s.version
         and not ${isReplaced(q, by)}
         and (s.state = 'failed' or not exists (
           select 1 from delivery o where o.device_id = d.device_id and o.item = d.item and o.id <> d.id
              and (${deliveryStates.in(q, 'carried', 'o')}) is true))
       order by d.id
         for update of d skip locked
    )
    update delivery d
       set state = s.state, revision = s.revision, compiled_by = ${by.release}, instance_id = ${by.instanceId},
           settled_at = clock_timestamp(), failure = s.reason
      from settlement s join current c on c.id = s.id
     where d.id = s.id and d.id = any(array(select u.id from current u)) and d.state = 'owed'
    returning d.id`;
  return rows.map((row) => row.id);
}
