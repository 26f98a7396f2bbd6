/**
 * Who may take advisory locks in the database of a domain: the roles of its processes, and not everybody, as PostgreSQL has it.
 *
 * Protects: the components of all releases meet in these locks, so whoever may log in and take one could hold up every component.
 * The role of invited hosts may log in.
 */
import type { Queryable } from '../connection.ts';
import { quoted } from './rights-in-force.ts';
import { databaseRoles, lockingRoles, roleName } from './role-rights.ts';

/** What leaves the locks to those roles, and to whose session this is: a domain may still run with that one. For a superuser. */
export async function lockStatements(q: Queryable, database: string): Promise<string[]> {
  const functions = (await listLockFunctions(q)).map(({ name }) => name).join(', ');
  const own = await q<{ name: string }[]>`
    select session_user as name where session_user <> all(${databaseRoles.map((role) => roleName(database, role))})`;
  const grantees = [...lockingRoles.map((role) => roleName(database, role)), ...own.map(({ name }) => name)];
  return [
    `grant execute on function ${functions} to ${grantees.map(quoted).join(', ')}`,
    `revoke execute on function ${functions} from public`,
  ];
}

/** A sentence each; empty when the locks are left to those roles. */
export async function checkLocks(q: Queryable, database: string): Promise<string[]> {
  const functions = (await listLockFunctions(q)).map(({ id }) => id);
  const open = await q`
    select 1 from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
     where p.oid = any(${functions}) and a.grantee = 0 limit 1`;
  const lacking = await q<{ name: string }[]>`
    select rolname as name from pg_roles
     where rolname = any(${lockingRoles.map((role) => roleName(database, role))})
       and exists (select from unnest(${functions}::oid[]) f where not has_function_privilege(pg_roles.oid, f, 'execute'))
     order by 1`;
  return [
    ...(open.length === 0 ? [] : ['Everybody may take advisory locks, and so hold up every component.']),
    ...lacking.map(({ name }) => `${name} may not take advisory locks, which it needs.`),
  ];
}

/** Those that take one, with their parameters. */
async function listLockFunctions(q: Queryable): Promise<{ id: number; name: string }[]> {
  return await q<{ id: number; name: string }[]>`
    select oid as id, 'pg_catalog.' || oid::regprocedure as name from pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_(xact_)?lock' order by 2`;
}
