/** Identities that the former device authority issued, while its successor takes over. */
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Of a row by its alias, which is `device` or `device_renewal`: its certificate names this issuer. */
export function isOfFormerIssuer(q: Queryable, alias: string, formerIssuer: Buffer): SqlFragment {
  return q`(${q(alias)}.identity_fingerprint is not null
            and position(${formerIssuer}::bytea in ${q(alias)}.identity_certificate) > 0)`;
}

interface FormerIdentities {
  /** Valid, or on their way to a device: the former authority stays for these. */
  valid: number;
  /** Their time is over: the devices are served, and renew theirs when they connect. */
  ended: number;
}

/** Devices by what they have of it. One pass over them. */
export async function countFormerIdentities(q: Queryable, formerIssuer: Buffer): Promise<FormerIdentities> {
  const [row] = await q<FormerIdentities[]>`
    with former as (
      select greatest(case when ${isOfFormerIssuer(q, 'd', formerIssuer)} then d.identity_expires_at end,
                      case when ${isOfFormerIssuer(q, 'r', formerIssuer)} then r.identity_expires_at end) as ends_at
        from device d left join device_renewal r on r.device_id = d.id
       where d.state <> 'gone')
    select count(*) filter (where ends_at >= now())::int as valid, count(*) filter (where ends_at < now())::int as ended
      from former`;
  return row ?? { valid: 0, ended: 0 };
}
