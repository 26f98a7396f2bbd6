/**
 * Codes that let somebody in once: the first administrator, one who was invited, one whose access was reset. Invariant: a
 * code is used by whoever marks it as used, within its time; a new one ends the one before; and none makes a first administrator
 * where there is one.
 */
import type { Queryable } from '../../database/connection.ts';
import { newSecret, secretDigest } from './secrets.ts';

/** For who starts the domain; and for who is sent one. */
const firstCodeMinutes = 15;
const invitationHours = 24;

interface MadeCode {
  code: string;
  expiresAt: Date;
}

/** @returns null where an administrator exists */
export async function makeFirstCode(q: Queryable, by: string): Promise<MadeCode | null> {
  const code = newSecret();
  const [row] = await q<{ expiresAt: Date }[]>`
    insert into sign_in_code (digest, purpose, created_by, expires_at)
    select ${secretDigest(code)}, 'first', ${by}, now() + make_interval(mins => ${firstCodeMinutes})
     where not exists (select from administrator)
    on conflict (purpose) where purpose = 'first' and used_at is null do update
      set digest = excluded.digest, created_by = excluded.created_by, created_at = now(), expires_at = excluded.expires_at
    returning expires_at as "expiresAt"`;
  return row === undefined ? null : { code, ...row };
}

export async function makeInvitation(q: Queryable, administratorId: string, by: string): Promise<MadeCode> {
  const code = newSecret();
  const [row] = await q<{ expiresAt: Date }[]>`
    insert into sign_in_code (digest, purpose, administrator_id, created_by, expires_at)
    values (${secretDigest(code)}, 'invitation', ${administratorId}, ${by},
            now() + make_interval(hours => ${invitationHours}))
    on conflict (administrator_id) where purpose = 'invitation' and used_at is null do update
      set digest = excluded.digest, created_by = excluded.created_by, created_at = now(), expires_at = excluded.expires_at
    returning expires_at as "expiresAt"`;
  if (row === undefined) throw new TypeError('an insert returned no row');
  return { code, ...row };
}

interface FoundCode {
  purpose: 'first' | 'invitation';
  administratorId: string | null;
  /** Of the administrator; null for the first. */
  name: string | null;
  /** Whether his authenticator is asked as well: the code stands in for a password alone. */
  asksTotp: boolean;
  expiresAt: Date;
}

const usable = (q: Queryable, code: string) => q`
  c.digest = ${secretDigest(code)} and c.purpose <> 'recovery' and c.used_at is null and c.expires_at > now()
  and (c.administrator_id is not null or not exists (select from administrator))
  and not exists (select from administrator o where o.id = c.administrator_id and o.state <> 'active')`;

export async function findCode(q: Queryable, code: string): Promise<FoundCode | undefined> {
  const [row] = await q<FoundCode[]>`
    select c.purpose, c.administrator_id as "administratorId", a.name, a.totp_at is not null as "asksTotp",
           c.expires_at as "expiresAt"
      from sign_in_code c left join administrator a on a.id = c.administrator_id
     where ${usable(q, code)}`;
  return row;
}

/** Of two that use it at once, the second finds it used. */
export async function useCode(
  q: Queryable,
  code: string,
): Promise<Pick<FoundCode, 'administratorId' | 'asksTotp'> | undefined> {
  const [row] = await q<{ administratorId: string | null; asksTotp: boolean }[]>`
    update sign_in_code c set used_at = now() where ${usable(q, code)}
    returning c.administrator_id as "administratorId",
              exists (select from administrator a where a.id = c.administrator_id and a.totp_at is not null) as "asksTotp"`;
  return row;
}
