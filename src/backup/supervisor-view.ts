/**
 * What the supervisor may do with paths of this host: its service may confine it (`bramble service install` does) and hide or protect
 * what the operator sees and writes. The kernel's list of its mounts tells, whatever service manager it is.
 */
import { readFile, realpath } from 'node:fs/promises';
import { relative } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { readPresent } from '../base/present-file.ts';
import { supervisorOf } from '../processes/supervisor/home-lock.ts';

interface WantedPaths {
  /** A folder to write into. */
  folder: string;
  /** Likewise; it need not be the same one that the operator sees. */
  scratch: string | null;
  /** To be read. */
  file: string;
}

/**
 * Passes where no supervisor runs, or the system tells nothing of it.
 * @throws BrambleError ERR_INPUT for what the running supervisor could not do
 */
export async function assertSupervisorMay(home: string, { folder, scratch, file }: WantedPaths): Promise<void> {
  const pid = await supervisorOf(home);
  if (pid === null) return;
  const [status, itsMounts, ownMounts] = await Promise.all(
    [`/proc/${pid}/status`, `/proc/${pid}/mountinfo`, '/proc/self/mountinfo'].map(readPresent),
  );
  if (!status || !itsMounts || !ownMounts) return;
  const [, user] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  if (Number(user) !== process.geteuid?.()) {
    const name = await nameOf(Number(user));
    throw refused(`The supervisor (process ${pid}) is of the user ${name}: set the schedule as that user`);
  }
  for (const path of scratch === null ? [folder] : [folder, scratch]) {
    const it = placeOf(await realpath(path).catch(() => path), itsMounts);
    const own = placeOf(await realpath(path).catch(() => path), ownMounts);
    if (it.isReadOnly || (path === folder && it.id !== own.id)) throw unwritable(home, pid, path);
  }
  const real = await realpath(file);
  if (placeOf(real, itsMounts).id === placeOf(real, ownMounts).id) return;
  throw refused(
    `The service of the supervisor (process ${pid}) hides ${file} from it: keep the passphrase outside the homes of users and ` +
      'temporary folders, as in /etc/bramble',
  );
}

/** Where in which file system a path lies. @see proc_pid_mountinfo(5) */
function placeOf(path: string, mounts: string): { id: string; isReadOnly: boolean } {
  let deepest = { at: '', id: '', isReadOnly: false };
  for (const line of mounts.split('\n')) {
    const [, , device = '', root = '', point = '', options = ''] = line.split(' ').map(unescaped);
    const within = relative(point, path);
    if (point === '' || within === '..' || within.startsWith('../') || point.length < deepest.at.length) continue;
    // Of two at one place the later one covers the other.
    const id = `${device} ${[root === '/' ? '' : root, within].join('/')}`;
    deepest = { at: point, id, isReadOnly: options.split(',').includes('ro') };
  }
  return deepest;
}

function unescaped(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

async function nameOf(user: number): Promise<string> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  return lines.find(([, , id]) => id === String(user))?.[0] ?? String(user);
}

function unwritable(home: string, pid: number, path: string): BrambleError {
  return refused(
    `The service of the supervisor (process ${pid}) keeps it from writing to ${path}. Allow it with \`sudo BRAMBLE_HOME=${home} ` +
      `bramble service install --writable ${path}\`, with the options that it was installed with, then restart the unit ` +
      '(`systemctl restart bramble@<release>`: devices wait meanwhile) and set the schedule again',
  );
}

function refused(why: string): BrambleError {
  return new BrambleError('ERR_INPUT', `${why}. Nothing was set.`);
}
