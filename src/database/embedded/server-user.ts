/**
 * The user that PostgreSQL runs as. It refuses to run as root, so under root it gets another user's id, and that user
 * must be able to reach everything it reads and writes.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BrambleError } from '../../base/errors.ts';

const run = promisify(execFile);

export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Tried in this order. The last one exists on every system that we know. */
const candidates = ['bramble', 'postgres', 'nobody'];

/**
 * The user to run PostgreSQL as, or null when it is our own.
 * @throws BrambleError ERR_DATABASE_USER when we are root and no candidate exists.
 */
export async function serverUser(): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) {
    return null;
  }
  for (const name of candidates) {
    const uid = await idOf('-u', name);
    const gid = await idOf('-g', name);
    if (uid !== null && gid !== null && uid !== 0) {
      return { name, uid, gid };
    }
  }
  throw new BrambleError(
    'ERR_DATABASE_USER',
    `PostgreSQL cannot run as root, and none of the users ${candidates.join(', ')} exists: create the user "bramble".`,
  );
}

/**
 * Proves that the user can enter the folder.
 * @throws BrambleError ERR_DATABASE_FOLDER when some folder on the way is closed to the user.
 */
export async function assertReachable(folder: string, user: ServerUser | null): Promise<void> {
  if (user === null) {
    return;
  }
  try {
    await run('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { uid: user.uid, gid: user.gid, cwd: '/' });
  } catch (error) {
    throw new BrambleError(
      'ERR_DATABASE_FOLDER',
      `The user "${user.name}", which PostgreSQL runs as under root, cannot enter ${folder}: make the parent ` +
        'folders accessible to it (chmod o+x), or set BRAMBLE_HOME to a folder such as /var/lib/bramble.',
      { cause: error },
    );
  }
}

async function idOf(option: '-u' | '-g', name: string): Promise<number | null> {
  try {
    const { stdout } = await run('id', [option, name]);
    const id = Number(stdout.trim());
    return Number.isSafeInteger(id) ? id : null;
  } catch {
    return null;
  }
}
