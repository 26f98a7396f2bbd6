/**
 * Whether those who were let in once may still do what they could then: for what goes on after a request was answered. All are
 * asked about at once.
 */
import { createHash } from 'node:crypto';
import { allRights, type Right } from '../api/rights.ts';
import type { Queryable } from '../database/connection.ts';
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

/** Those that do not hold any more: revoked, ended, or with other rights. Primary keys. */
export async function lostStandings(q: Queryable, standings: readonly string[]): Promise<ReadonlySet<string>> {
  const lost = new Set(standings);
  const idsOf = (kind: Actor['kind']) =>
    standings.filter((each) => each.startsWith(`${kind} `)).map((each) => each.split(' ')[1] ?? '');
  if (standings.length === 0) return lost;
  const rows = await q<Row[]>`
    select 'legacy-token' as kind, id::text as id, null as role, null::text[] as rights, null::text[] as groups, null as owes
      from administrator_token where id = any(${idsOf('legacy-token')}::uuid[]) and revoked_at is null
    union all
    select 'token', t.id::text, t.role, r.rights,
           case when t.scoped then array(select g.group_id::text from api_token_group g where g.token_id = t.id) end,
           null
      from api_token t left join custom_role r on r.name = t.role
     where t.id = any(${idsOf('token')}::uuid[]) and t.revoked_at is null
       and (t.expires_at is null or t.expires_at > now())
    union all
    select 'administrator', s.id::text, a.role, r.rights,
           case when a.scoped then array(select g.group_id::text from administrator_group g where g.administrator_id = a.id) end,
           ${owedBy(q)}
      from administrator_session s join administrator a on a.id = s.administrator_id
      left join custom_role r on r.name = a.role
     where s.id = any(${idsOf('administrator')}::uuid[]) and a.state = 'active' and ${isOpen(q)}`;
  for (const { kind, id, role, rights, groups, owes } of rows) {
    const may = role === null ? allRights : owes === null ? rightsOfRole(role, rights, groups !== null) : [];
    lost.delete(standing(kind, id, may, groups));
  }
  return lost;
}
