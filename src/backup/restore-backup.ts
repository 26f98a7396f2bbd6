/**
 * Makes a domain of a backup: in an empty home, and an empty database.
 *
 * Invariants: everything that can be refused is refused before anything is made; what fails later is removed again; and the
 * home gets its configuration last, so that a half-restored one is never started.
 */
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { masterKeyPath } from '../component/master-key-ring.ts';
import { openDatabase } from '../database/connection.ts';
import { startEmbedded, stopEmbedded } from '../database/embedded/server.ts';
import { establishRoles } from '../database/roles/role-setup.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { configurationSchema } from '../process/configuration.ts';
import { type OpenedBackup, openBackup } from './backup-file.ts';
import { readFormerLists } from './former-revocations.ts';
import { configurationFile, type HomeFiles, writeHomeFiles } from './home-files.ts';
import type { BackupHead } from './manifest.ts';
import { assertReadable, homeFilesOf, type Program, rebuildDatabase } from './rebuild-database.ts';
import { type SettledDomain, settleRestored } from './restored-domain.ts';

export interface RestoreOptions {
  file: string;
  passphrase: string;
  /** Empty, or with releases only. */
  home: string;
  program: Program;
  user: string;
  /** An empty database; default an embedded PostgreSQL. */
  databaseUrl?: string | undefined;
  /** The home of the former domain, if it still exists: its routers know what was revoked since. */
  formerHome?: string | undefined;
  onProgress?: (step: 'reading' | 'restoring', done: number, of: number) => void;
  signal?: AbortSignal;
}

export interface RestoredBackup extends SettledDomain {
  head: BackupHead;
  /** Of the domain, as its supervisor finds it. */
  host: string;
  embedded: boolean;
}

/**
 * @throws BrambleError ERR_BACKUP_FILE, ERR_BACKUP_PASSPHRASE, ERR_BACKUP_RELEASE, ERR_BACKUP_TARGET: nothing was changed;
 *   anything else: what was made is removed, but for tables in a database of your own
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoredBackup> {
  const { file, passphrase, home, program, databaseUrl, onProgress = () => {} } = options;
  await assertEmptyHome(home);
  if (databaseUrl !== undefined) await assertEmptyDatabase(databaseUrl);
  const formerLists = options.formerHome === undefined ? [] : await readFormerLists(options.formerHome);
  const backup = await openBackup(file, passphrase, (done, of) => onProgress('reading', done, of));
  await assertReadable(backup, program);
  const files = await homeFilesOf(backup);
  const configuration = configurationOf(files);
  const { host } = configuration;
  await mkdir(home, { recursive: true, mode: 0o755 });
  // Under root, PostgreSQL runs as another user, who has to pass through.
  if (process.getuid?.() === 0) await chmod(home, 0o755);
  const isEmbedded = databaseUrl === undefined;
  try {
    const database = isEmbedded ? embeddedDatabase(configuration) : { url: databaseUrl };
    const url =
      'url' in database
        ? database.url
        : (await startEmbedded({ folder: join(home, 'postgres'), settings: database.settings })).url;
    await writeHomeFiles(home, secretsFor(files, isEmbedded));
    await rebuildDatabase(url, backup, program, {
      // The rights of the roles are those of the tables, which are there now.
      afterSchema: async () => await (isEmbedded ? establishRoles(url, home) : undefined),
      onProgress: (done, of) => onProgress('restoring', done, of),
      signal: options.signal,
    });
    const settled = await settleRestored(
      url,
      backup.head,
      { user: options.user, host },
      {
        lists: formerLists,
        masterKeys: await readMasterKeys(masterKeyPath(home)),
      },
    );
    const text = `${JSON.stringify({ ...configuration, database }, null, 2)}\n`;
    if (isEmbedded) await stopEmbedded({ folder: join(home, 'postgres'), mode: 'fast' });
    await writeHomeFiles(home, { [configurationFile]: Buffer.from(text).toString('base64') });
    return { head: backup.head, host, embedded: isEmbedded, ...settled };
  } catch (cause) {
    await undo(home);
    throw failed(backup, cause, isEmbedded);
  }
}

async function assertEmptyHome(home: string): Promise<void> {
  const found = (await readdir(home).catch((): string[] => [])).filter((name) => name !== 'releases');
  if (found.length === 0) return;
  throw new BrambleError(
    'ERR_BACKUP_TARGET',
    `${home} is not empty: ${found.slice(0, 5).join(', ')}${found.length > 5 ? ', …' : ''}. A backup is restored into an ` +
      'empty home, with nothing but releases/ in it: set BRAMBLE_HOME to another folder, or move this one aside. Nothing was ' +
      'changed.',
  );
}

async function assertEmptyDatabase(url: string): Promise<void> {
  const db = openDatabase(url, { applicationName: 'bramble/restore', max: 1 });
  try {
    const rows = await db<{ name: string }[]>`
      select relname as name from pg_class
       where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') order by 1`;
    if (rows.length === 0) return;
    throw new BrambleError(
      'ERR_BACKUP_TARGET',
      `The database is not empty: it has ${rows.length} tables, views and sequences, such as ${rows[0]?.name}. Create a ` +
        'new one for the backup. Nothing was changed.',
    );
  } finally {
    await db.end({ timeout: 5 });
  }
}

function configurationOf(files: HomeFiles) {
  const text = Buffer.from(files[configurationFile] ?? '', 'base64').toString('utf8');
  return configurationSchema.parse(JSON.parse(text));
}

/** Memory and the like, as it was; of an external database nothing is known. */
function embeddedDatabase({ database }: ReturnType<typeof configurationOf>) {
  return 'embedded' in database ? database : { embedded: true, settings: {} };
}

/** Credentials of roles are of the server that they were made in; the embedded one gets the same again. */
function secretsFor(files: HomeFiles, isEmbedded: boolean): HomeFiles {
  const isOfRoles = (name: string) => name.startsWith('database/');
  const wasEmbedded = 'embedded' in configurationOf(files).database;
  return Object.fromEntries(
    Object.entries(files).filter(
      ([name]) => name !== configurationFile && (!isOfRoles(name) || (isEmbedded && wasEmbedded)),
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
