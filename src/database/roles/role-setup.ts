/**
 * Creates the database roles of a domain: the roles, the ownership of the tables, and the rights. The same statements
 * are executed here if we may (embedded PostgreSQL), and given to the database's administrator if not.
 *
 * Every step is idempotent. A role's password is set before its credential is put where the supervisor finds it.
 */
import { BrambleError } from '../../base/errors.ts';
import { advisoryLock, lockClass } from '../advisory-locks.ts';
import { openDatabase, type Queryable } from '../connection.ts';
import { inShortLocks } from '../short-locks.ts';
import { lockStatements } from './lock-rights.ts';
import {
  currentDatabase,
  grantStatements,
  listSequences,
  quoted,
  resetStatements,
  rightsDifference,
} from './rights-in-force.ts';
import {
  newPassword,
  type RoleCredentials,
  readRoleCredentials,
  scramVerifier,
  writeRoleCredentials,
} from './role-credentials.ts';
import {
  assumedRoles,
  createsDatabases,
  type DatabaseRole,
  databaseRoles,
  maxSessions,
  memberships,
  ownerRole,
  processRoles,
  roleName,
} from './role-rights.ts';
import { storageStatements } from './storage-rights.ts';

/** Roles with members that act for them only when they say so are new in it. */
const minServerVersion = 160_000;

/**
 * Makes the roles, as a superuser, and puts their credentials into the home.
 * @throws BrambleError ERR_DATABASE_ROLE when the server is too old for them.
 */
export async function establishRoles(url: string, home: string): Promise<void> {
  const db = openDatabase(url, { applicationName: 'bramble/database-roles', max: 1 });
  try {
    // Held by the session: concurrent runs would set two passwords and keep one.
    await db`select pg_advisory_lock(${lockClass}, ${advisoryLock.migration})`;
    const credentials = await credentialsFor(db, await readRoleCredentials(home));
    // One by one: changing a table's owner locks it, and devices are being served. The owner comes before the rights,
    // which only the owner can grant.
    for (const statements of [roleStatements, rightStatements]) {
      for (const statement of await statements(db, credentials)) await inShortLocks(db, (tx) => tx.unsafe(statement));
    }
    await writeRoleCredentials(home, credentials);
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** The existing ones, and fresh ones for the other roles. */
export async function credentialsFor(q: Queryable, present: RoleCredentials): Promise<RoleCredentials> {
  const database = await currentDatabase(q);
  const fresh = (role: DatabaseRole) => ({ user: roleName(database, role), password: newPassword() });
  return new Map(processRoles.map((role) => [role, present.get(role) ?? fresh(role)]));
}

/**
 * What makes the roles, and the owner of everything in the domain's schema. For a superuser.
 * @throws BrambleError ERR_DATABASE_ROLE when the server is too old for them.
 */
export async function roleStatements(q: Queryable, credentials: RoleCredentials): Promise<string[]> {
  await assertServerVersion(q);
  const database = await currentDatabase(q);
  const owner = roleName(database, ownerRole);
  const there = await listRoleNames(q);
  const define = (name: string, attributes: string) =>
    `${there.has(name) ? 'alter' : 'create'} role ${quoted(name)} with ${attributes}`;
  const none = 'nosuperuser nocreaterole noreplication nobypassrls';
  return [
    define(owner, `nologin nocreatedb ${none}`),
    ...databaseRoles.flatMap((role) => {
      const name = roleName(database, role);
      const password = credentials.get(role)?.password;
      return [
        define(
          name,
          `login ${createsDatabases.includes(role) ? 'createdb' : 'nocreatedb'} ${none} connection limit ${maxSessions[role] ?? -1}` +
            (password === undefined ? '' : ` password '${scramVerifier(password)}'`),
        ),
        ...(memberships[role] ?? []).map((group) => `grant ${quoted(group)} to ${quoted(name)}`),
      ];
    }),
    ...Object.entries(assumedRoles).map(([role, assumed]) => {
      const [group, member] = [assumed, role as DatabaseRole].map((one) => quoted(roleName(database, one)));
      return `grant ${group} to ${member} with inherit false, set true`;
    }),
    // A lost host has set what it liked for the roles whose credentials it holds; another password alone would leave it in force.
    ...[...databaseRoles, ownerRole].flatMap((role) =>
      resetStatements(quoted(roleName(database, role as DatabaseRole)), database),
    ),
    ...(await lockStatements(q, database)),
    ...(await storageStatements(q, database)),
    'revoke create on schema public from public',
    `grant usage, create on schema public to ${quoted(owner)}`,
    ...(await ownershipStatements(q, owner)),
  ];
}

/** What makes the rights of the roles those of the table. For the owner. */
export async function rightStatements(q: Queryable): Promise<string[]> {
  const database = await currentDatabase(q);
  const roles = databaseRoles.map((role) => roleName(database, role));
  return grantStatements(await rightsDifference(q, database, roles), await listSequences(q));
}

async function assertServerVersion(q: Queryable): Promise<void> {
  const [row] = await q<{ version: number }[]>`select current_setting('server_version_num')::int as version`;
  if ((row?.version ?? 0) >= minServerVersion) return;
  throw new BrambleError(
    'ERR_DATABASE_ROLE',
    'A role for each kind of process needs PostgreSQL 16 or later. Upgrade PostgreSQL, or keep one role for all ' +
      'processes.',
  );
}

async function listRoleNames(q: Queryable): Promise<Set<string>> {
  const rows = await q<{ name: string }[]>`select rolname as name from pg_roles`;
  return new Set(rows.map((row) => row.name));
}

/** Tables, free sequences and functions with another owner. */
async function ownershipStatements(q: Queryable, owner: string): Promise<string[]> {
  const rows = await q<{ statement: string }[]>`
    select format('alter %s %s owner to %I', o.kind, o.name, ${owner}::text) as statement
      from (
        select case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end as kind,
               format('%I', c.relname) as name, c.relowner as owner
          from pg_class c
         where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
           and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
                              and c.relkind = 'S')
        union all
        select 'function', p.oid::regprocedure::text, p.proowner from pg_proc p
         where p.pronamespace = current_schema()::regnamespace
      ) o
     where o.owner is distinct from (select oid from pg_roles where rolname = ${owner})
     order by o.kind desc, o.name`;
  return rows.map((row) => row.statement);
}
