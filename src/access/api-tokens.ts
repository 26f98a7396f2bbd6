/**
 * Tokens with a role, groups and an end. They stand in a table of their own, since releases before 1.5 take every row of
 * `administrator_token` for all-powerful. Invariant: a token whose role or groups are gone may do less, never more.
 */
import { timingSafeEqual } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { Actor } from './actor.ts';
import { generateToken, tokenDigest } from './administrator-tokens.ts';
import { rightsOfRole } from './roles.ts';

interface NewApiToken {
  name: string;
  role: string;
  /** Ids of the groups that it is limited to; null for no limit. */
  groups: readonly string[] | null;
  expiresAt: Date | null;
  createdBy: string;
}

interface ApiToken {
  name: string;
  createdAt: Date;
  revokedAt: Date | null;
  role: string;
  /** Ids; those of groups that are gone are gone. */
  groups: string[] | null;
  expiresAt: Date | null;
  createdBy: string;
}

/** Creates a token and returns it, this once. Names are never reused. */
export async function createApiToken(tx: Transaction, token: NewApiToken): Promise<string | 'name-taken'> {
  const { name, role, groups, expiresAt, createdBy } = token;
  const id = newId<string>();
  const secret = generateToken();
  const [row] = await tx<{ ended: boolean }[]>`
    insert into api_token (id, name, digest, role, scoped, created_by, expires_at)
    select ${id}, ${name}, ${tokenDigest(secret)}, ${role}, ${groups !== null}, ${createdBy}, ${expiresAt}
     where not exists (select from administrator_token where name = ${name})
        on conflict (name) do nothing
    returning coalesce(expires_at <= now(), false) as ended`;
  if (row?.ended === true) throw new BrambleError('ERR_INPUT', 'The token would have ended already.');
  if (row === undefined) return 'name-taken';
  await tx`insert into api_token_group (token_id, group_id) select ${id}, unnest(${(groups ?? []) as string[]}::uuid[])`;
  return secret;
}

/** By name. */
export async function listApiTokens(q: Queryable): Promise<ApiToken[]> {
  return await q<ApiToken[]>`
    select t.name, t.created_at as "createdAt", t.revoked_at as "revokedAt", t.role, t.expires_at as "expiresAt",
           t.created_by as "createdBy", ${groupsOf(q)} as groups
      from api_token t order by t.name`;
}

export async function isApiTokenName(q: Queryable, name: string): Promise<boolean> {
  const { count } = await q`select from api_token where name = ${name}`;
  return count > 0;
}

/** Of a valid one. */
export async function roleOfApiToken(q: Queryable, name: string): Promise<string | undefined> {
  const [row] = await q<{ role: string }[]>`select role from api_token where name = ${name} and revoked_at is null`;
  return row?.role;
}

export async function revokeApiToken(tx: Transaction, name: string): Promise<'revoked' | 'not-found'> {
  const { count } = await tx`update api_token set revoked_at = now() where name = ${name} and revoked_at is null`;
  return count === 1 ? 'revoked' : 'not-found';
}

/** Of token `t`. */
function groupsOf(q: Queryable) {
  return q`case when t.scoped then array(select group_id from api_token_group where token_id = t.id) end`;
}

/** Who has the token, unless it was revoked or has ended. */
export async function actorOfApiToken(q: Queryable, digest: Buffer): Promise<Actor | undefined> {
  const [row] = await q<TokenRow[]>`
    select t.id, t.name, t.digest, t.role, r.rights,
           ${groupsOf(q)} as groups
      from api_token t left join custom_role r on r.name = t.role
     where t.digest = ${digest} and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())`;
  if (row === undefined || !timingSafeEqual(row.digest, digest)) return undefined;
  const { id, name, role, rights, groups } = row;
  return {
    kind: 'token',
    id,
    name,
    rights: rightsOfRole(role, rights, groups !== null),
    groups,
    session: null,
    provenAt: null,
    owes: null,
  };
}

interface TokenRow {
  id: string;
  name: string;
  digest: Buffer;
  role: string;
  rights: string[] | null;
  groups: string[] | null;
}
