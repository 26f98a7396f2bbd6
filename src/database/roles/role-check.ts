/**
 * Whether the roles of a domain can be used: each logs in, and has what it needs and no more. A single check for
 * everything.
 */
import { messageOf } from '../../base/errors.ts';
import { openDatabase, type Queryable } from '../connection.ts';
import { currentDatabase, listRoles, rightsDifference } from './rights-in-force.ts';
import { type RoleCredentials, urlForRole } from './role-credentials.ts';
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

/**
 * What is wrong, a sentence each; empty when everything is in order.
 * @param url of any role: it reads the catalog
 */
export async function checkRoles(url: string, credentials: RoleCredentials): Promise<string[]> {
  const db = openDatabase(url, { applicationName: 'bramble/database-roles', max: 1 });
  try {
    const database = await currentDatabase(db);
    const findings = [];
    const present = await listRoles(db, database);
    for (const role of processRoles) findings.push(...(await checkLogin(url, database, role, credentials)));
    // That of invited hosts is needed only where hosts are invited: a domain that was made before 1.4 may be without it.
    const isExpected = (role: DatabaseRole) =>
      processRoles.includes(role) || present.includes(roleName(database, role));
    const expected = databaseRoles.filter(isExpected);
    findings.push(...(await checkAttributes(db, database, expected)));
    findings.push(...(await checkSettings(db, database)));
    findings.push(...(await checkMemberships(db, database, expected)));
    findings.push(...(await checkOwner(db, database)));
    for (const difference of await rightsDifference(db, database, present)) {
      const { kind, role, object, column, privilege } = difference;
      const what = `${privilege}${column === null ? '' : ` of ${column}`} on ${object}`;
      findings.push(
        kind === 'missing' ? `${role} may not ${what}, which it needs.` : `${role} may ${what}, more than needed.`,
      );
    }
    return findings;
  } finally {
    await db.end({ timeout: 5 });
  }
}

async function checkLogin(
  url: string,
  database: string,
  role: DatabaseRole,
  credentials: RoleCredentials,
): Promise<string[]> {
  const credential = credentials.get(role);
  if (credential === undefined) return [`${roleName(database, role)} has no credential in BRAMBLE_HOME/database.`];
  const db = openDatabase(urlForRole(url, credential), { applicationName: 'bramble/database-roles', max: 1 });
  try {
    const [row] = await db<{ name: string }[]>`select session_user as name`;
    return row?.name === roleName(database, role) ? [] : [`The credential of ${role} belongs to ${row?.name}.`];
  } catch (error) {
    return [`${credential.user} cannot log in: ${messageOf(error)}.`];
  } finally {
    await db.end({ timeout: 5 });
  }
}

async function checkAttributes(q: Queryable, database: string, roles: readonly DatabaseRole[]): Promise<string[]> {
  const names = [...roles, ownerRole].map((role) => roleName(database, role as DatabaseRole));
  const rows = await q<
    { name: string; isPowerful: boolean; createsDatabases: boolean; logsIn: boolean; sessions: number }[]
  >`
    select rolname as name, rolconnlimit as sessions, rolsuper or rolcreaterole or rolreplication or rolbypassrls as "isPowerful",
           rolcreatedb as "createsDatabases", rolcanlogin as "logsIn"
      from pg_roles where rolname = any(${names})`;
  return names.flatMap((name) => {
    const row = rows.find((candidate) => candidate.name === name);
    if (row === undefined) return [`There is no role ${name}.`];
    const may = createsDatabases.some((role) => roleName(database, role) === name);
    const most = Object.entries(maxSessions).find(([role]) => roleName(database, role as DatabaseRole) === name)?.[1];
    return [
      ...(row.isPowerful ? [`${name} is a superuser, or may create roles, replicate or bypass row security.`] : []),
      ...(most !== undefined && row.sessions !== most ? [`${name} is not limited to ${most} sessions.`] : []),
      ...(row.createsDatabases && !may ? [`${name} may create databases.`] : []),
      ...(row.logsIn && name === roleName(database, ownerRole) ? [`${name} may log in.`] : []),
    ];
  });
}

/** Every role may change its own, and they begin with its next session. */
async function checkSettings(q: Queryable, database: string): Promise<string[]> {
  const names = [...databaseRoles, ownerRole].map((role) => roleName(database, role as DatabaseRole));
  const rows = await q<{ name: string; setting: string }[]>`
    select r.rolname as name, s.setting
      from pg_db_role_setting d join pg_roles r on r.oid = d.setrole cross join unnest(d.setconfig) s(setting)
     where r.rolname = any(${names})
       and d.setdatabase in (0, (select oid from pg_database where datname = ${database})) order by 1, 2`;
  return rows.map(({ name, setting }) => `${name} has a setting of its own, ${setting}, which it must not have.`);
}

async function checkMemberships(q: Queryable, database: string, expected: readonly DatabaseRole[]): Promise<string[]> {
  const wanted = new Set(
    Object.entries(memberships).flatMap(([role, groups]) =>
      groups.map((group) => `${roleName(database, role as DatabaseRole)} ${group}`),
    ),
  );
  for (const [role, assumed] of Object.entries(assumedRoles)) {
    if (assumed !== ownerRole && !expected.includes(assumed)) continue;
    wanted.add(`${roleName(database, role as DatabaseRole)} ${roleName(database, assumed)}`);
  }
  const rows = await q<{ membership: string }[]>`
    select m.rolname || ' ' || g.rolname as membership
      from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid
     where m.rolname = any(${[...databaseRoles, ownerRole].map((role) => roleName(database, role as DatabaseRole))})`;
  const there = new Set(rows.map((row) => row.membership));
  return [
    ...[...wanted]
      .filter((entry) => !there.has(entry))
      .map((entry) => `${entry.replace(' ', ' is not a member of ')}.`),
    ...[...there].filter((entry) => !wanted.has(entry)).map((entry) => `${entry.replace(' ', ' is a member of ')}.`),
  ];
}

async function checkOwner(q: Queryable, database: string): Promise<string[]> {
  const owner = roleName(database, ownerRole);
  const rows = await q<{ name: string; owner: string }[]>`
    select tablename as name, tableowner as owner from pg_tables
     where schemaname = current_schema() and tableowner <> ${owner} order by 1`;
  return rows.map((row) => `The table ${row.name} belongs to ${row.owner} instead of ${owner}.`);
}
