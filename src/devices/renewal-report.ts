/**
 * The state of device identity renewals, for people. The decision is pure. Invariant: every identity has exactly one
 * state, and every abnormal state has exactly one reason.
 */
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type IdentitySettings, renewalRetrySeconds } from '../domain/identity-settings.ts';
import { deliveryStates } from '../states/delivery-states.ts';

interface IdentityRenewal {
  /**
   * `not-due`, also after a failed manual attempt; `due`: waiting for its turn; `under-way`: its delivery is open;
   * `unused`: issued and not used yet; `failed`: to be retried.
   */
  state: 'not-due' | 'due' | 'under-way' | 'unused' | 'failed';
  /** Attempts since the current identity was issued. */
  attempts: number;
  text: string;
}

/** Of one device. Null means never. */
export interface RenewalFacts {
  readonly dueAt: string | null;
  readonly attempts: number;
  readonly open: boolean;
  readonly issued: boolean;
  readonly settledAt: string | null;
  readonly failure: string | null;
}

export function identityRenewal(facts: RenewalFacts, settings: IdentitySettings, now: Date): IdentityRenewal | null {
  const { dueAt, attempts, open, issued, settledAt, failure } = facts;
  if (dueAt === null) return null;
  const isDue = new Date(dueAt) <= now;
  const again = () => {
    if (!isDue)
      return `the next attempt is not due before ${timeOf(new Date(dueAt))} (\`bramble device resend\` attempts it now)`;
    const at = new Date(settledAt ?? now).getTime() + renewalRetrySeconds(settings, attempts) * 1000;
    return `retried from ${timeOf(new Date(at))} on`;
  };
  if (open) return { state: 'under-way', attempts, text: tries('on its way to the device', attempts) };
  if (issued && failure === null) {
    const text = `the device has its new identity but has not used it; if it connects with the old one, ${again()}`;
    return { state: 'unused', attempts, text: tries(text, attempts) };
  }
  if (attempts > 0 && settledAt !== null) {
    return {
      state: isDue ? 'failed' : 'not-due',
      attempts,
      text: tries(`${failure ?? 'the new identity was not used'}; ${again()}`, attempts),
    };
  }
  if (isDue) return { state: 'due', attempts, text: 'waiting for its turn' };
  return { state: 'not-due', attempts, text: `from ${timeOf(new Date(dueAt))} on` };
}

function tries(text: string, attempts: number): string {
  return attempts > 1 ? `${text} (${attempts} tries)` : text;
}

function timeOf(date: Date): string {
  return `${date.toISOString().slice(0, 16)}Z`;
}

/** {@link RenewalFacts} of device `d`, as JSON. By device_renewal_pkey, delivery_pkey and delivery_device. */
export function renewalFacts(q: Queryable) {
  return q`
    (select jsonb_build_object(
              'dueAt', to_timestamp(identity_renewal_due(d.id, d.identity_issued_at, d.identity_expires_at)),
              'attempts', coalesce(r.attempts, 0), 'issued', r.identity_fingerprint is not null,
              'open', exists (select 1 from delivery o where o.device_id = d.id and o.item = 'device-identity'
                                 and ${deliveryStates.in(q, 'open', 'o')}),
              'settledAt', v.settled_at, 'failure', v.failure)
       from (select 1) one left join device_renewal r on r.device_id = d.id left join delivery v on v.id = r.delivery_id)`;
}

interface IdentityCounts {
  ended: number;
  endWithin30Days: number;
  /** By their date, whether in progress or not. */
  due: number;
  underWay: number;
  unused: number;
  failed: number;
}

/**
 * Of active devices of accounts that are seen: by device_identity_end those that end soon, by device_renewal_due those that are due, with a look at the renewal
 * of each; the rest by delivery_identity and by the rows of device_renewal that wait for a device's first contact.
 */
export async function countIdentities(q: Queryable, within: Within = null): Promise<IdentityCounts> {
  const isSeen = (accountId: SqlFragment) => isAccountWithin(q, accountId, within);
  const [row] = await q<IdentityCounts[]>`
    select soon.ended, soon."endWithin30Days", by_date.due, by_date.failed,
           (select count(distinct v.device_id)::int from delivery v
             where v.item = 'device-identity' and ${deliveryStates.in(q, 'open', 'v')} and ${isSeen(q`v.account_id`)}) as "underWay",
           (select count(*)::int from device_renewal r
             where r.identity_fingerprint is not null
               and (select d.state = 'active' and ${isSeen(q`d.account_id`)} from device d where d.id = r.device_id)) as unused
      from (select count(*) filter (where d.identity_expires_at < now())::int as ended,
                   count(*) filter (where d.identity_expires_at >= now())::int as "endWithin30Days"
              from device d
             where d.state = 'active' and d.identity_expires_at < now() + interval '30 days' and ${isSeen(q`d.account_id`)}) soon,
           (select count(*)::int as due,
                   count(*) filter (where (
                     select v.state from device_renewal r join delivery v on v.id = r.delivery_id
                      where r.device_id = d.id) = 'failed')::int as failed
              from device d
             where d.state = 'active' and identity_renewal_due(d.id, d.identity_issued_at, d.identity_expires_at)
                                          <= extract(epoch from now())::float8 and ${isSeen(q`d.account_id`)}) by_date`;
  return row ?? { ended: 0, endWithin30Days: 0, due: 0, underWay: 0, unused: 0, failed: 0 };
}

/**
 * Active devices that may have a newer identity than this database knows, which is as of `since`: a renewal was on its way
 * then, or has become due by now. One pass over the devices.
 */
export async function listPossiblyRenewed(q: Queryable, since: Date): Promise<{ id: string; account: string }[]> {
  return await q<{ id: string; account: string }[]>`
    select d.id, a.name as account from device d join account a on a.id = d.account_id
     where d.state = 'active'
       and (identity_renewal_due(d.id, d.identity_issued_at, d.identity_expires_at) <= extract(epoch from now())
            or exists (select 1 from delivery v where v.device_id = d.id and v.item = 'device-identity'
                          and (${deliveryStates.in(q, 'open', 'v')} or v.settled_at > ${since} - interval '1 day')))
     order by a.name, d.id`;
}
