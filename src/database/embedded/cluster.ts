/**
 * The data folder of the embedded server: created by `initdb` in a temporary folder and moved into place whole, so that
 * a cluster is either absent or complete; of two created at the same time the first wins and the second process uses
 * it.
 *
 *     <folder>/cluster/data       PostgreSQL's, mode 0700, owned by the user that it runs as
 *     <folder>/cluster/password   ours, mode 0600
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, chmod, chown, mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { BrambleError } from '../../base/errors.ts';
import type { Binaries } from './binaries.ts';
import type { ServerUser } from './server-user.ts';

const run = promisify(execFile);

/** The superuser of the embedded server, and the database that is made in it. */
export const databaseUser = 'bramble';
export const databaseName = 'bramble';

export interface Cluster {
  /** With all symbolic links resolved, as the server's own working folder shows. */
  readonly dataFolder: string;
  readonly password: string;
}

/** The cluster in `folder`, or null where none was made yet. */
export async function readCluster(folder: string): Promise<Cluster | null> {
  const cluster = path.join(folder, 'cluster');
  try {
    await access(cluster);
  } catch {
    return null;
  }
  const password = (await readFile(path.join(cluster, 'password'), 'utf8')).trim();
  return { dataFolder: await realpath(path.join(cluster, 'data')), password };
}

/**
 * Makes the cluster unless there is one: UTF8, locale C, SCRAM passwords for every connection.
 * @throws BrambleError ERR_DATABASE_INIT with what `initdb` said.
 */
export async function ensureCluster(
  folder: string,
  binaries: Binaries,
  user: ServerUser | null,
  options: { sync: boolean; signal?: AbortSignal | undefined },
): Promise<Cluster> {
  const existing = await readCluster(folder);
  if (existing !== null) {
    return existing;
  }
  options.signal?.throwIfAborted();
  const draft = await mkdtemp(path.join(folder, '.cluster-'));
  try {
    const password = randomBytes(24).toString('base64url');
    const dataFolder = path.join(draft, 'data');
    const passwordFile = path.join(draft, 'initdb-password');
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    await mkdir(dataFolder, { mode: 0o700 });
    await chmod(draft, 0o711);
    if (user !== null) {
      await chown(passwordFile, user.uid, user.gid);
      await chown(dataFolder, user.uid, user.gid);
    }
    await runInitdb(binaries, user, [
      ...['--pgdata', dataFolder, '--username', databaseUser, '--pwfile', passwordFile],
      ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C', '--no-instructions'],
      ...(options.sync ? [] : ['--no-sync']),
    ]);
    await rm(passwordFile);
    await writeFile(path.join(draft, 'password'), `${password}\n`, { mode: 0o600 });
    await rename(draft, path.join(folder, 'cluster'));
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') {
      throw error;
    }
  }
  const made = await readCluster(folder);
  if (made === null) {
    throw new BrambleError(
      'ERR_DATABASE_INIT',
      `The new database cluster in ${folder} was removed while it was being created.`,
    );
  }
  return made;
}

async function runInitdb(binaries: Binaries, user: ServerUser | null, args: string[]): Promise<void> {
  try {
    await run(path.join(binaries.bin, 'initdb'), args, {
      ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      timeout: 120_000,
    });
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? '';
    throw new BrambleError('ERR_DATABASE_INIT', `The database cluster could not be created: ${said || String(error)}`, {
      cause: error,
    });
  }
}
