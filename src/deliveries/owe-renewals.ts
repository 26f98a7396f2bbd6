/**
 * Queues identity renewals for devices: when due (`identity_renewal_due` in the database, between a third and a quarter
 * of its lifetime before its end), and again at growing intervals until a new one is used.
 *
 * An attempt has failed if its delivery failed, or if it is done and the device has connected since with its previous
 * identity. `device_renewal` names the newest attempt.
 */
import { fencedAccounts } from '../accounts/account-fence.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { isCheckViolation } from '../database/sql-state.ts';
import { isAhead, isLongerAgo } from '../database/time-stamps.ts';
import { hasFormerIdentity, issuedOrder } from '../devices/former-identities.ts';
import type { FormerIssuer } from '../domain/device-authority-roll.ts';
import type { IdentitySettings } from '../domain/identity-settings.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import type { RenewalsUnderWay } from './renewal-pace.ts';

/**
 * Whether any identity of the instance's devices is due for renewal, started or not: by its date, or, during a rollover
 * of the device authority, because the former one issued it. By device_renewal_due and device_identity_issued; no locks.
 */
export async function isAnyRenewalDue(
  q: Queryable,
  instanceId: string,
  former: FormerIssuer | null = null,
): Promise<boolean> {
  for (const { isDue, order } of reasons(q, former)) {
    const rows = await q`
      select 1 from device d
       cross join lateral (select from account a where a.id = d.account_id and a.instance_id = ${instanceId} offset 0) a
       where d.state = 'active' and ${isDue}
       order by ${order} limit 1`;
    if (rows.length > 0) return true;
  }
  return false;
}

/** By delivery_identity and delivery_open; no locks. Released more than `expectSeconds` ago: the device is away. */
export async function readRenewalsUnderWay(
  q: Queryable,
  instanceId: string,
  expectSeconds: number,
): Promise<RenewalsUnderWay> {
  const [row] = await q<RenewalsUnderWay[]>`
    with begun as (
      select a.instance_id = ${instanceId} as here from delivery v join account a on a.id = v.account_id
       where v.item = 'device-identity' and not ${isLongerAgo(q, q`v.owed_at`, 60)}
    ), open as (
      select a.instance_id = ${instanceId} as here from delivery v
        join account a on a.id = v.account_id join device d on d.id = v.device_id and d.state = 'active'
       where v.item = 'device-identity' and ${deliveryStates.in(q, 'awaited', 'v')}
         and (v.state <> 'released' or not ${isLongerAgo(q, q`v.released_at`, expectSeconds)})
    )
    select (select count(*) filter (where here) from begun)::int as "begunHere", (select count(*) from begun)::int as begun,
           (select count(*) filter (where here) from open)::int as "openHere", (select count(*) from open)::int as open`;
  if (row === undefined) throw new TypeError('a query of counts answered no row');
  return row;
}

/**
 * At most `limit`, the most urgent first; returns how many. None while the table does not accept such deliveries yet:
 * between raising the feature level and the contraction that follows. By the indexes of {@link reasons}, delivery_device,
 * delivery_pkey; the unique index delivery_owed makes a repeated call harmless. Fenced.
 */
export async function oweRenewals(
  q: Queryable,
  instanceId: string,
  settings: IdentitySettings,
  limit: number,
  former: FormerIssuer | null = null,
): Promise<number> {
  const [byDate, byIssuer] = reasons(q, former).map(
    ({ isDue, order }) => q`
      (select d.id, d.account_id, coalesce(r.attempts, 0) as attempts, ${dueAt(q)} as due_at
        from device d
        join account a on a.id = d.account_id and a.instance_id = ${instanceId}
        left join device_renewal r on r.device_id = d.id
        left join delivery v on v.id = r.delivery_id
       where d.state = 'active' and d.removing_since is null and ${isDue}
         and not exists (select 1 from delivery o
                          where o.device_id = d.id and o.item = 'device-identity'
                            and ${deliveryStates.in(q, 'open', 'o')})
         and (v.id is null
              or (${isIneffective(q)}
                  and ${isLongerAgo(q, q`v.settled_at`, retryAfter(q, settings))}))
       order by ${order}
       limit ${limit})`,
  );
  const owed = q`
    with due as materialized (
      select id, account_id, attempts from (${byDate ?? q``} ${byIssuer === undefined ? q`` : q`union ${byIssuer}`}) d
       order by due_at limit ${limit}
    ), fence as materialized (
      ${fencedAccounts(q, instanceId, q`select u.account_id from due u`)}
    )
    insert into delivery (id, account_id, device_id, item, cause, budgeted)
    select gen_random_uuid(), u.account_id, u.id, 'device-identity', case when u.attempts = 0 then 'renewal' else 'retry' end, true
      from due u join fence f on f.id = u.account_id
    on conflict (device_id, item) where state = 'owed' do nothing`;
  try {
    return (await owed).count;
  } catch (error) {
    if (isCheckViolation(error)) return 0;
    throw error;
  }
}

/** Why a device `d` is due, each with the order in which its index finds the most urgent first, and none of those that are not. */
function reasons(q: Queryable, former: FormerIssuer | null): { isDue: SqlFragment; order: SqlFragment }[] {
  const byDate = { isDue: q`${dueAt(q)} <= extract(epoch from statement_timestamp())::float8`, order: dueAt(q) };
  return former === null ? [byDate] : [byDate, { isDue: hasFormerIdentity(q, former), order: issuedOrder(q) }];
}

function dueAt(q: Queryable): SqlFragment {
  return q`identity_renewal_due(d.id, d.identity_issued_at, d.identity_expires_at)`;
}

/** Whether delivery `v` renewed nothing for device `d`, which is due: it failed, or the device has been seen since. */
function isIneffective(q: Queryable) {
  return q`(${deliveryStates.in(q, 'undelivered', 'v')} or v.state = 'done' and (d.last_seen_at > v.settled_at or ${isAhead(q, q`v.settled_at`)}))`;
}

/** Seconds, of renewal `r`. */
function retryAfter(q: Queryable, settings: IdentitySettings) {
  return q`least(${settings.renewAgainSeconds}::float8 * 2 ^ least(r.attempts - 1, 30),
                 ${settings.renewAgainAtMostSeconds}::float8)`;
}
