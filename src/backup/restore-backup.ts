/**
 * Makes a domain of a backup: in an empty home, and an empty database.
 *
 * Invariants: everything that can be refused is refused before anything is made; what fails later is removed again, at the latest by the
 * next attempt, if this one was killed; and the home gets its configuration last, so that a half-restored one is never started.
 */
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { isLeftOver, ownerMark } from '../base/owner-mark.ts';
import { masterKeyPath } from '../component/master-key-ring.ts';
import { startEmbedded, stopEmbedded } from '../database/embedded/server.ts';
import { establishRoles } from '../database/roles/role-setup.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { writeWholeFile } from '../database/whole-file.ts';
import { hostKeyFile } from '../hosts/host-key.ts';
import { configurationSchema } from '../process/configuration.ts';
import { isReleasedLock } from '../processes/supervisor/home-lock.ts';
import { type OpenedBackup, openBackup } from './backup-file.ts';
import { readFormerLists } from './former-revocations.ts';
import { accessFile, configurationFile, type HomeFiles, writeHomeFiles } from './home-files.ts';
import type { BackupHead } from './manifest.ts';
import { assertReadable, homeFilesOf, type Program, rebuildDatabase } from './rebuild-database.ts';
import { type SettledDomain, settleRestored } from './restored-domain.ts';
import { whyUnusable } from './unused-database.ts';

/** Of a file that says who restores here, while nothing else may count on the home. */
const attemptPrefix = 'restoring-';

export interface RestoreOptions {
  file: string;
  passphrase: string;
  /** Empty, or with releases and released locks only. */
  home: string;
  program: Program;
  user: string;
  /** An empty database; default an embedded PostgreSQL. */
  databaseUrl?: string | undefined;
  /** The home of the former domain, if it still exists: its routers know what was revoked since. */
  formerHome?: string | undefined;
}

interface Course {
  onProgress?: (done: number, of: number) => void;
  signal?: AbortSignal;
}

/** Everything that can be refused was looked at, and nothing was made yet. */
export interface CheckedRestore {
  options: RestoreOptions;
  backup: OpenedBackup;
  files: HomeFiles;
  configuration: ReturnType<typeof configurationOf>;
  formerLists: Awaited<ReturnType<typeof readFormerLists>>;
}

export interface RestoredBackup extends SettledDomain {
  head: BackupHead;
  /** Of the domain, as its supervisor finds it. */
  host: string;
  embedded: boolean;
}

/**
 * Reads all of the backup.
 * @throws BrambleError ERR_BACKUP_FILE, ERR_BACKUP_PASSPHRASE, ERR_BACKUP_RELEASE, ERR_BACKUP_TARGET, ERR_INPUT
 */
export async function checkRestore(
  options: RestoreOptions,
  onProgress: (done: number, of: number) => void = () => {},
): Promise<CheckedRestore> {
  const { file, passphrase, home, program, databaseUrl } = options;
  await assertTakeable(home);
  const formerLists = options.formerHome === undefined ? [] : await readFormerLists(options.formerHome);
  const backup = await openBackup(file, passphrase, onProgress);
  await assertReadable(backup, program);
  const files = await homeFilesOf(backup);
  const configuration = configurationOf(files);
  if (databaseUrl !== undefined) await assertUsable(databaseUrl, backup);
  return { options, backup, files, configuration, formerLists };
}

/**
 * Makes the domain again. What fails is removed, but for tables in a database of your own.
 * @throws BrambleError ERR_BACKUP_TARGET when the target was taken meanwhile: nothing was changed
 */
export async function restoreBackup(checked: CheckedRestore, course: Course = {}): Promise<RestoredBackup> {
  const { home, databaseUrl } = checked.options;
  if (databaseUrl !== undefined) await assertUsable(databaseUrl, checked.backup);
  await takeHome(home);
  try {
    const restored = await fill(checked, course);
    await release(home);
    return restored;
  } catch (cause) {
    await undo(home);
    throw failed(checked.backup, cause, databaseUrl === undefined);
  }
}

async function fill(
  { options: { home, program, databaseUrl, user }, backup, files, configuration, formerLists }: CheckedRestore,
  { signal, onProgress = () => {} }: Course,
): Promise<RestoredBackup> {
  const { host } = configuration;
  const isEmbedded = databaseUrl === undefined;
  const database = isEmbedded ? embeddedDatabase(configuration) : { url: databaseUrl };
  const url =
    'url' in database
      ? database.url
      : (await startEmbedded({ folder: join(home, 'postgres'), settings: database.settings })).url;
  signal?.throwIfAborted();
  await writeHomeFiles(home, secretsFor(files, isEmbedded));
  await rebuildDatabase(url, backup, program, {
    // The rights of the roles are those of the tables, which are there now.
    afterSchema: async () => await (isEmbedded ? establishRoles(url, home) : undefined),
    onProgress,
    signal,
  });
  const former = { lists: formerLists, masterKeys: await readMasterKeys(masterKeyPath(home)) };
  const by = { user, host, needsToken: files[accessFile] === undefined };
  const { token, ...settled } = await settleRestored(url, backup.head, by, former);
  if (token !== null) await writeWholeFile(join(home, accessFile), `${JSON.stringify({ token })}\n`, 'wx');
  if (isEmbedded) await stopEmbedded({ folder: join(home, 'postgres'), mode: 'fast' });
  signal?.throwIfAborted();
  // Whole or not at all: from then on the home is one.
  await writeWholeFile(
    join(home, configurationFile),
    `${JSON.stringify({ ...configuration, database }, null, 2)}\n`,
    'wx',
  );
  return { head: backup.head, host, embedded: isEmbedded, ...settled };
}

/**
 * Takes an empty home, so that nobody else restores into it, and what a killed attempt has left of it: without a configuration nothing can
 * have been started there.
 */
async function takeHome(home: string): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o755 });
  // Under root, PostgreSQL runs as another user, who has to pass through.
  if (process.getuid?.() === 0) await chmod(home, 0o755);
  if ((await assertTakeable(home)) === 'left over') await undo(home);
  await writeFile(join(home, `${attemptPrefix}${await ownerMark()}`), '', { mode: 0o600 });
  const attempts = (await readdir(home)).filter((name) => name.startsWith(attemptPrefix));
  if (attempts.length > 1) {
    await release(home);
    throw notEmpty(home, attempts, true);
  }
}

/** @throws BrambleError ERR_BACKUP_TARGET unless the home can be restored into */
export async function assertTakeable(home: string): Promise<'empty' | 'left over'> {
  const found: string[] = [];
  for (const name of await readdir(home).catch((): string[] => [])) {
    if (name !== 'releases' && !(await isReleasedLock(home, name))) found.push(name);
  }
  if (found.length === 0) return 'empty';
  const attempt = found.includes(configurationFile) ? undefined : found.find((name) => name.startsWith(attemptPrefix));
  if (attempt !== undefined && (await isLeftOver(attempt.slice(attemptPrefix.length)))) return 'left over';
  throw notEmpty(home, found, attempt !== undefined);
}

async function release(home: string): Promise<void> {
  await rm(join(home, `${attemptPrefix}${await ownerMark()}`), { force: true });
}

function notEmpty(home: string, found: readonly string[], isAtWork: boolean): BrambleError {
  const names = `${found.slice(0, 5).join(', ')}${found.length > 5 ? ', …' : ''}`;
  return new BrambleError(
    'ERR_BACKUP_TARGET',
    isAtWork
      ? `A backup is being restored into ${home} by another command. Wait for it. Nothing was changed.`
      : `${home} is not empty: ${names}. A backup is restored into an empty home, with nothing but releases/ in it: set ` +
          'BRAMBLE_HOME to another folder, or move this one aside. Nothing was changed.',
  );
}

async function assertUsable(url: string, { manifest }: OpenedBackup): Promise<void> {
  const unusable = await whyUnusable(url, 'bramble/restore', manifest.migrations.length);
  if (unusable === undefined) return;
  const { why, remedy } = unusable;
  throw new BrambleError(
    'ERR_BACKUP_TARGET',
    `The domain cannot be restored into that database: ${why}. ${remedy}. Nothing was changed.`,
  );
}

function configurationOf(files: HomeFiles) {
  const text = Buffer.from(files[configurationFile] ?? '', 'base64').toString('utf8');
  return configurationSchema.parse(JSON.parse(text));
}

/** Memory and the like, as it was; of an external database nothing is known. */
function embeddedDatabase({ database }: ReturnType<typeof configurationOf>) {
  return 'embedded' in database ? database : { embedded: true, settings: {} };
}

/**
 * Credentials of roles are of the server that they were made in; the embedded one gets the same again. And this host is the domain's first:
 * it has not joined.
 */
function secretsFor(files: HomeFiles, isEmbedded: boolean): HomeFiles {
  const isOfRoles = (name: string) => name.startsWith('database/');
  const wasEmbedded = 'embedded' in configurationOf(files).database;
  return Object.fromEntries(
    Object.entries(files).filter(
      ([name]) =>
        name !== configurationFile && name !== hostKeyFile && (!isOfRoles(name) || (isEmbedded && wasEmbedded)),
    ),
  );
}

async function undo(home: string): Promise<void> {
  await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' }).catch(() => undefined);
  for (const name of (await readdir(home)).filter((each) => each !== 'releases')) {
    await rm(join(home, name), { recursive: true, force: true });
  }
}

function failed({ path }: OpenedBackup, cause: unknown, isEmbedded: boolean): BrambleError {
  return new BrambleError(
    isBrambleError(cause) ? cause.code : 'ERR_BACKUP_UNUSABLE',
    `The backup ${path} could not be restored: ${messageOf(cause).replace(/\.$/, '')}. What was made of it in the home is ` +
      `removed${isEmbedded ? '' : '; the database may hold tables of it, so create a new one'}. Restore it again once the ` +
      'cause is gone.',
    { cause },
  );
}
