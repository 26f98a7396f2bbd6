/**
 * The roles of an existing domain: the statements for the database's administrator, and taking the roles into use once
 * they are correct. With an embedded PostgreSQL we are the superuser ourselves.
 *
 * Invariant: no process is given a role before the domain is finalized at a release whose processes know theirs.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { checkLocks } from '../database/roles/lock-rights.ts';
import { currentDatabase } from '../database/roles/rights-in-force.ts';
import { checkRoles } from '../database/roles/role-check.ts';
import {
  preparedFolder,
  type RoleCredentials,
  readRoleCredentials,
  writeRoleCredentials,
} from '../database/roles/role-credentials.ts';
import { credentialsFor, establishRoles, rightStatements, roleStatements } from '../database/roles/role-setup.ts';
import { checkStorage } from '../database/roles/storage-rights.ts';
import { type Feature, requireFeature } from '../registry/features.ts';
import { homeDatabase } from './home-database.ts';

interface RolesState {
  /** `separate` if processes get their own roles at the next `bramble up`, `prepared` if only credentials exist. */
  state: 'separate' | 'prepared' | 'single';
}

export async function rolesState(home: string): Promise<RolesState> {
  if ((await readRoleCredentials(home)).size > 0) return { state: 'separate' };
  return { state: (await readRoleCredentials(home, preparedFolder)).size > 0 ? 'prepared' : 'single' };
}

/**
 * SQL for a superuser of the database: makes the roles, or mends them. Their credentials are kept in the home.
 * @param renew gives every role another password
 * @throws BrambleError ERR_DATABASE_ROLE for other passwords in an embedded PostgreSQL
 */
export async function rolesScript(home: string, { renew = false }: { renew?: boolean } = {}): Promise<string> {
  const { url, embedded } = await homeDatabase(home);
  if (renew && embedded) {
    throw new BrambleError(
      'ERR_DATABASE_ROLE',
      'The embedded PostgreSQL is reached by its own host alone: no other computer can use passwords of its roles.',
    );
  }
  const inUse = await readRoleCredentials(home);
  const db = openDatabase(url, { applicationName: 'bramble/database-roles', max: 1 });
  try {
    const credentials = await credentialsFor(db, renew ? new Map() : await credentialsOf(home));
    const statements = [...(await roleStatements(db, credentials)), ...(await rightStatements(db))];
    // A role that a later release added is prepared too.
    const unused = new Map([...credentials].filter(([role, { password }]) => inUse.get(role)?.password !== password));
    if (unused.size > 0) await writeRoleCredentials(home, unused, preparedFolder);
    return [
      '-- All or nothing. Devices are served in the meantime: if a lock is not available this stops, and can be run ' +
        'again.',
      'begin;',
      "set local lock_timeout = '500ms';",
      ...statements.map((statement) => `${statement};`),
      'commit;',
    ].join('\n');
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** What is wrong with the roles and with what others may; empty when everything is in order. */
export async function findRoleFaults(home: string): Promise<string[]> {
  const { url, embedded } = await homeDatabase(home);
  const db = openDatabase(url, { applicationName: 'bramble/database-roles', max: 1 });
  try {
    const faults = await checkRoles(url, await credentialsOf(home));
    // Nobody is invited to an embedded PostgreSQL, and all others who may log in need the locks.
    if (embedded) return faults;
    const database = await currentDatabase(db);
    return [...faults, ...(await checkLocks(db, database)), ...(await checkStorage(db, database))];
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** In a message; before the roles were made there are nearly a hundred. */
const faultsNamed = 3;

/**
 * Makes the processes of this host use their roles from the next start of the supervisor on. Can be repeated.
 * @throws BrambleError ERR_FEATURE_LOCKED before the upgrade is finalized, ERR_DATABASE_ROLE that says what is wrong.
 */
export async function useRoles(home: string, features: readonly Feature[]): Promise<void> {
  const { url, embedded } = await homeDatabase(home);
  const db = openDatabase(url, { applicationName: 'bramble/database-roles', max: 1 });
  try {
    await requireFeature(db, features, 'database-roles', 'A database role for each kind of process');
  } finally {
    await db.end({ timeout: 5 });
  }
  if (embedded) await establishRoles(url, home);
  // What everybody may is left out: a managed PostgreSQL lets nobody take that from the others, and the roles serve there, too.
  const faults = await checkRoles(url, await credentialsOf(home));
  if (faults.length > 0) {
    const more = faults.length - faultsNamed;
    const rest = more > 0 ? ` And ${more} more: \`bramble database roles --check\` lists all.` : '';
    throw new BrambleError(
      'ERR_DATABASE_ROLE',
      'The database roles cannot be used yet. Execute what `bramble database roles --sql` prints, as a superuser of the ' +
        `database, then try again. What is wrong: ${faults.slice(0, faultsNamed).join(' ')}${rest}`,
      { details: { faults } },
    );
  }
  const prepared = await readRoleCredentials(home, preparedFolder);
  for (const role of prepared.keys()) {
    await rename(join(home, 'database', preparedFolder, `${role}.json`), join(home, 'database', `${role}.json`));
  }
}

/** The credentials in use, and those that are prepared for their roles instead. */
async function credentialsOf(home: string): Promise<RoleCredentials> {
  return new Map([...(await readRoleCredentials(home)), ...(await readRoleCredentials(home, preparedFolder))]);
}
