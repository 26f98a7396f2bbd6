/**
 * The credentials of the domain's database roles, one file for each in `BRAMBLE_HOME/database/`, mode 0600.
 *
 * Invariant: a file exists only after its role can log in with it. If it is missing, processes of that kind use the
 * supervisor's address: the domain has a single role.
 */

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { addressAs } from '../../base/database-address.ts';
import { BrambleError } from '../../base/errors.ts';
import { type DatabaseRole, processRoles } from './role-rights.ts';

/** Of a file. */
export const roleCredentialShape = z.object({
  /** PostgreSQL's name of the role. */
  user: z.string(),
  password: z.string(),
});
type RoleCredential = z.output<typeof roleCredentialShape>;

export type RoleCredentials = ReadonlyMap<DatabaseRole, RoleCredential>;

/**
 * Where credentials are kept that no process uses yet: the database's administrator still has to create their roles.
 */
export const preparedFolder = 'prepared';

export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * The credentials in the home.
 * @param folder below `database/`; by default those in use
 * @throws BrambleError ERR_DATABASE_ROLE when a file is invalid.
 */
export async function readRoleCredentials(home: string, folder = ''): Promise<RoleCredentials> {
  const credentials = new Map<DatabaseRole, RoleCredential>();
  for (const role of processRoles) {
    const credential = await readCredential(path.join(home, 'database', folder, `${role}.json`));
    if (credential !== undefined) credentials.set(role, credential);
  }
  return credentials;
}

/** Writes each file whole or not at all. */
export async function writeRoleCredentials(home: string, credentials: RoleCredentials, folder = ''): Promise<void> {
  const place = path.join(home, 'database', folder);
  await mkdir(place, { recursive: true, mode: 0o700 });
  for (const [role, credential] of credentials) {
    const file = path.join(place, `${role}.json`);
    await writeFile(`${file}.new`, `${JSON.stringify(credential)}\n`, { mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
  }
}

/** The same database, entered as the role; the address itself where there is no credential. */
export function urlForRole(url: string, credential: RoleCredential | undefined): string {
  if (credential === undefined) return url;
  return addressAs(url, credential.user, credential.password);
}

/** The verifier that PostgreSQL stores for a password; it never sees the password itself. @see RFC 5803 */
export function scramVerifier(password: string, salt = randomBytes(16), iterations = 4096): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const keyOf = (label: string) => createHmac('sha256', salted).update(label).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${keyOf('Server Key').toString('base64')}`;
}

async function readCredential(file: string): Promise<RoleCredential | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw credentialError(file, error);
  }
  try {
    return roleCredentialShape.parse(JSON.parse(text));
  } catch (cause) {
    throw credentialError(file, cause);
  }
}

function credentialError(file: string, cause: unknown): BrambleError {
  return new BrambleError(
    'ERR_DATABASE_ROLE',
    `The credential of a database role, ${file}, cannot be read. Restore it from a backup, or remove it and create ` +
      'it again with `bramble database roles`.',
    { cause },
  );
}
