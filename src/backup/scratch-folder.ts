/**
 * A temporary folder for a copy of the domain, with a PostgreSQL of its own in `postgres`.
 *
 * Invariant: the server ends and the folder goes with the work, however it ends. What a killed process has left, of which a server would
 * run for ever in a copy of all data, goes with the next.
 */
import { chmod, lstat, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isLeftOver, ownerMark } from '../base/owner-mark.ts';
import { stopEmbedded } from '../database/embedded/server.ts';

/** A segment of PostgreSQL’s log. */
const fullBelowBytes = 16 * 1024 * 1024;

type Purpose = 'verify' | 'rehearsal';

/** @throws BrambleError ERR_SCRATCH_FULL, and what the work throws */
export async function withScratchFolder<Result>(
  purpose: Purpose,
  within: string | undefined,
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const parent = within ?? tmpdir();
  await removeLeftOvers(parent);
  const folder = await mkdtemp(join(parent, `bramble-${purpose}-${await ownerMark()}-`));
  try {
    // Under root, PostgreSQL runs as another user, who has to pass through.
    await chmod(folder, 0o711);
    return await work(folder);
  } catch (error) {
    throw tellsOfRoom(error) || (await isFull(folder)) ? noRoom(parent, error) : error;
  } finally {
    await remove(folder);
  }
}

/** In the words of the system, of PostgreSQL, and of the program that makes its data. */
function tellsOfRoom(error: unknown): boolean {
  return /ENOSPC|EDQUOT|no space left on device|disk quota exceeded|check free disk space/i.test(messageOf(error));
}

/** A PostgreSQL that ends for lack of room may say so in its log only. */
async function isFull(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize < fullBelowBytes;
}

function noRoom(parent: string, cause: unknown): BrambleError {
  return new BrambleError(
    'ERR_SCRATCH_FULL',
    `There is no room left in ${parent} for the copy of the domain (${messageOf(cause)}); it is removed. This says nothing about the ` +
      'backup. The copy is as large as the database: make room, or name another folder with --scratch.',
    { cause },
  );
}

/** Only of this user: elsewhere nothing can be said, or removed. */
async function removeLeftOvers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [, mark] = /^bramble-(?:verify|rehearsal)-(.+)-[A-Za-z0-9]{6}$/.exec(name) ?? [];
    if (mark === undefined || !(await isLeftOver(mark))) continue;
    const folder = join(parent, name);
    const { uid } = await lstat(folder).catch(() => ({ uid: undefined }));
    if (uid !== undefined && uid === process.getuid?.()) await remove(folder).catch(() => undefined);
  }
}

async function remove(folder: string): Promise<void> {
  await stopEmbedded({ folder: join(folder, 'postgres'), mode: 'immediate' });
  await rm(folder, { recursive: true, force: true });
}
