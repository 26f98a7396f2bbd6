/** Identities that the former device authority issued, while its successor takes over. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import type { FormerIssuer } from '../domain/device-authority-roll.ts';

/** Of a row by its alias, which is `device` or `device_renewal`: its certificate names this issuer. */
function isOfFormerIssuer(q: Queryable, alias: string, { name }: FormerIssuer): SqlFragment {
  return q`(${q(alias)}.identity_fingerprint is not null
            and position(${name}::bytea in ${q(alias)}.identity_certificate) > 0)`;
}

/** When the identity of device `d` was issued; long ago where nobody knows. The order of device_identity_issued. */
export function issuedOrder(q: Queryable): SqlFragment {
  return q`coalesce(d.identity_issued_at, '-infinity'::timestamptz)`;
}

/**
 * Of device `d`. By device_identity_issued, where {@link issuedOrder} is the order: it leaves few certificates to be read once the
 * others are renewed. One that was issued by a clock that was ahead is left for its date.
 */
export function hasFormerIdentity(q: Queryable, former: FormerIssuer): SqlFragment {
  return q`(${issuedOrder(q)} < ${former.lastIssueAt} and ${isOfFormerIssuer(q, 'd', former)})`;
}

/** Whether an active device has a valid one of it; no means nothing. A look that ends at the first. */
export async function isFormerIdentityInUse(q: Queryable, former: FormerIssuer): Promise<boolean> {
  const rows = await q`
    select from device d
     where d.state = 'active' and ${hasFormerIdentity(q, former)} and d.identity_expires_at >= now()
     order by ${issuedOrder(q)} limit 1`;
  return rows.length > 0;
}

interface FormerIdentities {
  /** Valid, or on their way to a device: the former authority stays for these. */
  valid: number;
  /** Their time is over: the devices are served, and renew theirs when they connect. */
  ended: number;
}

/** Devices by what they have of it. One pass over them. */
export async function countFormerIdentities(q: Queryable, former: FormerIssuer): Promise<FormerIdentities> {
  const [row] = await q<FormerIdentities[]>`
    with former as (
      select greatest(case when ${isOfFormerIssuer(q, 'd', former)} then d.identity_expires_at end,
                      case when ${isOfFormerIssuer(q, 'r', former)} then r.identity_expires_at end) as ends_at
        from device d left join device_renewal r on r.device_id = d.id
       where d.state <> 'gone')
    select count(*) filter (where ends_at >= now())::int as valid, count(*) filter (where ends_at < now())::int as ended
      from former`;
  return row ?? { valid: 0, ended: 0 };
}
