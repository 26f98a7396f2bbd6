/**
 * Which enrolments must use TLS. A captured signature can be replayed for ever; a key used in TLS cannot. An enrolment
 * that proved its identity in TLS to a router on three separate days (UTC) is able to, and from then on a signature
 * alone is not accepted from it: once the feature is active, and until an operator clears it.
 *
 * Invariant: a day counts once, and only if our own router saw it: behind a proxy that terminates TLS the requirement
 * never applies.
 */
import { isServedBy } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

/** Name of the feature. */
export const tlsIdentityFeature = 'device-tls-identity';

export const tlsDaysUntilRequired = 3;

/**
 * Records that these devices of the instance used TLS today; with `require`, those with enough days must use it from
 * now on. Fenced, accounts FOR SHARE SKIP LOCKED. Idempotent within a day; returns the devices recorded for today.
 */
export async function recordTlsDays(
  q: Queryable,
  instanceId: InstanceId,
  deviceIds: readonly DeviceId[],
  require: boolean,
): Promise<DeviceId[]> {
  const rows = await q<{ id: DeviceId }[]>`
    with ours as materialized (
      select d.id from device d join account a on a.id = d.account_id
       where d.id = any(${deviceIds as DeviceId[]}::uuid[]) and ${isServedBy(q, instanceId)}
       order by a.id, d.id
         for share of a skip locked
    ), noted as (
      update device d
         set tls_days = case when d.tls_day = t.today then d.tls_days
                             else least(d.tls_days + 1, ${tlsDaysUntilRequired}) end,
             tls_day = t.today,
             tls_required_at = case
               when d.tls_required_at is null and ${require}
                and d.tls_days + (d.tls_day is distinct from t.today)::int >= ${tlsDaysUntilRequired}
               then clock_timestamp() else d.tls_required_at end
        from ours o, (select (clock_timestamp() at time zone 'utc')::date as today) t
       where d.id = o.id
         and (d.tls_day is distinct from t.today
              or (d.tls_required_at is null and ${require} and d.tls_days >= ${tlsDaysUntilRequired}))
    )
    select o.id from ours o`;
  return rows.map((row) => row.id);
}

/**
 * Forgets the days of one device, which must use TLS on three more before it is required again. `unneeded`: there were
 * none, or its enrolment has ended.
 */
export async function clearTlsIdentity(
  tx: Transaction,
  deviceId: DeviceId,
): Promise<'cleared' | 'unneeded' | 'not-found'> {
  const { count } = await tx`
    update device set tls_days = 0, tls_day = null, tls_required_at = null
     where id = ${deviceId} and tls_days > 0 and state <> 'gone'`;
  if (count === 1) return 'cleared';
  const known = await tx`select 1 from device where id = ${deviceId}`;
  return known.count === 1 ? 'unneeded' : 'not-found';
}

/** How many devices must use TLS, and how many more are getting there. */
export async function countTlsIdentities(q: Queryable): Promise<{ required: number; counting: number }> {
  const [row] = await q<{ required: number; counting: number }[]>`
    select count(*) filter (where tls_required_at is not null)::int as required,
           count(*) filter (where tls_required_at is null)::int as counting
      from device where tls_days > 0 and state <> 'gone'`;
  return row ?? { required: 0, counting: 0 };
}

/** The same for up to `limit` devices that have days; returns how many. */
export async function clearTlsIdentities(tx: Transaction, limit: number): Promise<number> {
  const { count } = await tx`
    update device set tls_days = 0, tls_day = null, tls_required_at = null
     where id in (select id from device where tls_days > 0 and state <> 'gone' limit ${limit})`;
  return count;
}
