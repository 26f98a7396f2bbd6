/**
 * Whether those who were let in once may still do what they could then: for what goes on after a request was answered, and for
 * what a request writes, whose body may have taken its time. All are asked about at once.
 */
import { createHash } from 'node:crypto';
import { allRights, type Right } from '../api/rights.ts';
import { BrambleError } from '../base/errors.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import type { Actor } from './actor.ts';
import { rightsOfRole } from './roles.ts';
import { type OwedFactor, owedBy } from './sign-in/second-factor-rule.ts';
import { isOpen } from './sign-in/sessions.ts';

/** Who it is, and a digest of what he may do: it changes with either. */
export function standingOf({ kind, id, session, rights, groups }: Actor): string {
  return standing(kind, session ?? id, rights, groups);
}

function standing(kind: string, id: string, rights: Iterable<Right>, groups: readonly string[] | null): string {
  const may = JSON.stringify([[...rights].sort(), groups?.toSorted() ?? null]);
  return `${kind} ${id} ${createHash('sha256').update(may).digest('base64url')}`;
}

interface Row {
  kind: Actor['kind'];
  owes: OwedFactor;
  id: string;
  role: string | null;
  rights: string[] | null;
  groups: string[] | null;
}

/** Those that do not hold any more: revoked, ended, or with other rights. */
export async function lostStandings(q: Queryable, standings: readonly string[]): Promise<ReadonlySet<string>> {
  const lost = new Set(standings);
  const idsByKind = new Map<Actor['kind'], string[]>();
  for (const each of standings) {
    const [kind, id = ''] = each.split(' ') as [Actor['kind'], string];
    idsByKind.set(kind, [...(idsByKind.get(kind) ?? []), id]);
  }
  for (const present of await presentStandings(q, idsByKind)) lost.delete(present);
  return lost;
}

/**
 * For one who is about to write.
 * @throws BrambleError ERR_TOKEN_INVALID, ERR_SESSION_ENDED; ERR_CONFLICT where he may do something else by now
 */
export async function assertStanding(q: Queryable, actor: Actor): Promise<void> {
  const { kind, id, name, session } = actor;
  const [present] = await presentStandings(q, new Map([[kind, [session ?? id]]]));
  if (present === standingOf(actor)) return;
  if (present !== undefined) {
    throw new BrambleError(
      'ERR_CONFLICT',
      `What ${name} may do was changed while the request was on its way. Nothing was done: send it again.`,
    );
  }
  throw session === null
    ? new BrambleError('ERR_TOKEN_INVALID', 'The token was revoked, or ended, while the request was on its way.')
    : new BrambleError('ERR_SESSION_ENDED', 'The session ended while the request was on its way. Sign in again.');
}

async function presentStandings(
  q: Queryable,
  idsByKind: ReadonlyMap<Actor['kind'], readonly string[]>,
): Promise<string[]> {
  const asked = [...idsByKind].map(([kind, ids]) => rowsOf[kind](q, [...ids]));
  if (asked.length === 0) return [];
  const rows = await q<Row[]>`${asked.reduce((one, other) => q`${one} union all ${other}`)}`;
  return rows.map(({ kind, id, role, rights, groups, owes }) => {
    const may = role === null ? allRights : owes === null ? rightsOfRole(role, rights, groups !== null) : [];
    return standing(kind, id, may, groups);
  });
}

/** By primary keys. Each asks tables that are there where somebody of its kind was let in. */
const rowsOf: Readonly<Record<Actor['kind'], (q: Queryable, ids: string[]) => SqlFragment>> = {
  'legacy-token': (q, ids) => q`
    select 'legacy-token' as kind, id::text as id, null as role, null::text[] as rights, null::text[] as groups, null as owes
      from administrator_token where id = any(${ids}::uuid[]) and revoked_at is null`,
  token: (q, ids) => q`
    select 'token' as kind, t.id::text as id, t.role, r.rights,
           case when t.scoped then array(select g.group_id::text from api_token_group g where g.token_id = t.id) end as groups,
           null as owes
      from api_token t left join custom_role r on r.name = t.role
     where t.id = any(${ids}::uuid[]) and t.revoked_at is null
       and (t.expires_at is null or t.expires_at > now())`,
  administrator: (q, ids) => q`
    select 'administrator' as kind, s.id::text as id, a.role, r.rights,
           case when a.scoped then array(
             select g.group_id::text from administrator_group g where g.administrator_id = a.id) end as groups,
           ${owedBy(q)} as owes
      from administrator_session s join administrator a on a.id = s.administrator_id
      left join custom_role r on r.name = a.role
     where s.id = any(${ids}::uuid[]) and a.state = 'active' and ${isOpen(q)}`,
};
