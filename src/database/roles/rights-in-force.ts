/**
 * Makes the rights in the database match `role-rights.ts`, and reports differences. One comparison serves both, so that
 * what is checked is what is granted.
 *
 * A database without these roles is one in which every process has the same role: nothing is granted there.
 */
import type { Queryable, Transaction } from '../connection.ts';
import { databaseRoles, ownerRole, roleName, wantedRights } from './role-rights.ts';

/** A missing or excess right. `role` is PostgreSQL's name; `public` stands for everybody. */
interface Difference {
  kind: 'missing' | 'excess';
  role: string;
  object: string;
  column: string | null;
  privilege: string;
}

type NamedRight = Omit<Difference, 'kind'>;

/** The name of the database that `q` is connected to. */
export async function currentDatabase(q: Queryable): Promise<string> {
  const [row] = await q<{ name: string }[]>`select current_database() as name`;
  return row?.name ?? '';
}

/** The domain's existing roles, by PostgreSQL's names. */
export async function listRoles(q: Queryable, database: string): Promise<string[]> {
  const names = databaseRoles.map((role) => roleName(database, role));
  const rows = await q<{ name: string }[]>`
    select rolname as name from pg_roles where rolname = any(${names}) order by rolname`;
  return rows.map((row) => row.name);
}

/**
 * Where the rights of `roles` (PostgreSQL's names) differ from the wanted ones, over the existing tables and sequences.
 * Nothing may be granted to `public`.
 */
export async function rightsDifference(
  q: Queryable,
  database: string,
  roles: readonly string[],
): Promise<Difference[]> {
  const present = await listObjects(q);
  const columns = await listColumns(q);
  const granted = await listGranted(q, [...roles, 'public']);
  const wanted = wantedRights()
    .map((right): NamedRight => ({ ...right, role: roleName(database, right.role) }))
    .filter((right) => roles.includes(right.role) && present.has(right.object))
    // During migrations a table exists before its later columns.
    .filter((right) => right.column === null || columns.has(`${right.object}.${right.column}`));
  const isWanted = new Set(wanted.map(keyOf));
  const isGranted = new Set(granted.map(keyOf));
  return [
    ...wanted.filter((right) => !isGranted.has(keyOf(right))).map((right) => ({ kind: 'missing' as const, ...right })),
    ...granted.filter((right) => !isWanted.has(keyOf(right))).map((right) => ({ kind: 'excess' as const, ...right })),
  ];
}

/** The statements that remove the differences. */
export function grantStatements(differences: readonly Difference[], sequences: ReadonlySet<string>): string[] {
  return differences.map(({ kind, role, object, column, privilege }) => {
    const what = `${privilege}${column === null ? '' : ` (${quoted(column)})`}`;
    const where = `${sequences.has(object) ? 'sequence' : 'table'} ${quoted(object)}`;
    const whom = role === 'public' ? 'public' : quoted(role);
    return kind === 'missing' ? `grant ${what} on ${where} to ${whom}` : `revoke ${what} on ${where} from ${whom}`;
  });
}

/**
 * Grants missing rights to the existing roles; as the owner of the tables. With `revoke`, excess rights are revoked:
 * when an upgrade is finalized, since until then the previous release may still need them. Returns what was changed.
 */
export async function applyRights(q: Queryable, options: { revoke: boolean }): Promise<Difference[]> {
  const database = await currentDatabase(q);
  const roles = await listRoles(q, database);
  if (roles.length === 0) return [];
  const differences = await rightsDifference(q, database, roles);
  return await changeRights(
    q,
    differences.filter(({ kind }) => options.revoke || kind === 'missing'),
  );
}

/** Removes these differences, and returns them; as the owner of the tables. */
export async function changeRights(q: Queryable, differences: readonly Difference[]): Promise<Difference[]> {
  const statements = grantStatements(differences, await listSequences(q));
  if (statements.length > 0) await q.unsafe(statements.join(';\n'));
  return [...differences];
}

/**
 * Assumes the role that owns the tables, where processes have roles of their own: every session that may, superusers included.
 * @param local until the end of the transaction
 */
export async function becomeOwner(q: Queryable, { local }: { local: boolean }): Promise<void> {
  await q`
    select set_config('role', rolname, ${local}) from pg_roles
     where rolname = current_database() || ${`_${ownerRole}`} and pg_has_role(session_user, oid, 'set')`;
}

/** Does this part of a transaction as the owner of the tables, and the rest as before. */
export async function withOwner<Result>(tx: Transaction, work: () => Promise<Result>): Promise<Result> {
  await becomeOwner(tx, { local: true });
  const result = await work();
  await tx`select set_config('role', 'none', true)`;
  return result;
}

/** What takes away the settings of a role, which every role may change for itself. @param role as SQL */
export function resetStatements(role: string, database: string): string[] {
  return [`alter role ${role} reset all`, `alter role ${role} in database ${quoted(database)} reset all`];
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function keyOf({ role, object, column, privilege }: NamedRight): string {
  return [role, object, column ?? '', privilege].join(' ');
}

/** Names of the tables, views and sequences of the domain's schema, sequences of identity columns left out. */
export async function listObjects(q: Queryable): Promise<Set<string>> {
  const rows = await q<{ name: string }[]>`
    select c.relname as name from pg_class c
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
       and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i'
                          and c.relkind = 'S')`;
  return new Set(rows.map((row) => row.name));
}

/** As `table.column`. */
async function listColumns(q: Queryable): Promise<Set<string>> {
  const rows = await q<{ name: string }[]>`
    select table_name || '.' || column_name as name from information_schema.columns where table_schema = current_schema()`;
  return new Set(rows.map((row) => row.name));
}

export async function listSequences(q: Queryable): Promise<Set<string>> {
  const rows = await q<{ name: string }[]>`
    select relname as name from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'S'`;
  return new Set(rows.map((row) => row.name));
}

async function listGranted(q: Queryable, roles: readonly string[]): Promise<NamedRight[]> {
  return await q<NamedRight[]>`
    with grants as (
      select c.relname, null::name as attname, a.grantee, a.privilege_type
        from pg_class c cross join lateral aclexplode(c.relacl) a
       where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
      union all
      select c.relname, t.attname, a.grantee, a.privilege_type
        from pg_attribute t join pg_class c on c.oid = t.attrelid cross join lateral aclexplode(t.attacl) a
       where c.relnamespace = current_schema()::regnamespace and not t.attisdropped
    )
    select coalesce(r.rolname, 'public') as role, g.relname as object, g.attname as column,
           lower(g.privilege_type) as privilege
      from grants g left join pg_roles r on r.oid = g.grantee
     where coalesce(r.rolname, 'public') = any(${roles as string[]})
     order by 1, 2, 3, 4`;
}
