/**
 * Makes the supervisor of a home a service of this host, under systemd, and undoes it. Starting it is left to the
 * operator: processes that run now belong to somebody.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { BrambleError, messageOf } from '../base/errors.ts';
import { compareReleases } from '../base/release-number.ts';
import { readConfiguration } from '../process/configuration.ts';
import { thisRelease } from '../release/this-release.ts';
import { sysusersText, type UnitPlan, unitName, unitOf, unitText } from './systemd-unit.ts';

const run = promisify(execFile);
const unitFile = join('/etc/systemd/system', unitName);
const sysusersFile = '/etc/sysusers.d/bramble.conf';

export interface ServicePlan extends UnitPlan {
  /** The release whose supervisor is to run. */
  readonly release: string;
  readonly text: string;
}

interface InstalledService {
  readonly unit: string;
  readonly files: readonly string[];
  /** Commands for the operator, in their order. */
  readonly next: readonly string[];
}

/** @throws BrambleError ERR_CONFIGURATION, ERR_SERVICE_MANAGER when the home or the user cannot be those of a service */
export async function planService(
  options: Pick<UnitPlan, 'home' | 'node' | 'user' | 'writable'>,
): Promise<ServicePlan> {
  const { home, node, user, writable } = options;
  if (!/^[a-z_][a-z0-9_-]{0,30}$/.test(user) || user === 'root') {
    throw refused(`"${user}" cannot be the user of the service. Choose one of its own; it is created if there is none`);
  }
  if (/[\p{Cc}"\\]/u.test([home, node, ...writable].join(''))) {
    throw refused('A path with quotes, backslashes or control characters cannot be written into a unit');
  }
  const { publicPort, srpPort } = await readConfiguration(home);
  const releases: string[] = await readdir(join(home, 'releases')).catch(() => []);
  const [latest] = releases.filter((name) => /^\d+\.\d+\.\d+$/.test(name)).sort((a, b) => compareReleases(b, a));
  // The next one may be there already, before its upgrade.
  const release = releases.includes(thisRelease.release) ? thisRelease.release : latest;
  if (release === undefined) throw refused(`No release is installed in ${home}: use bramble release install`);
  const lowPort = [publicPort, srpPort].some((port) => port > 0 && port < 1024);
  const plan = { home, node, user, writable, lowPort };
  return { ...plan, release, text: unitText(plan) };
}

/**
 * Writes the unit, and the user where there is none; safe to repeat.
 * @throws BrambleError ERR_SERVICE_MANAGER without systemd, or without the right to change it
 */
export async function installService(plan: ServicePlan): Promise<InstalledService> {
  await assertSystemd();
  const { user, home, release } = plan;
  const files = [unitFile];
  if ((await idOf(user)) === null) {
    await mkdir(dirname(sysusersFile), { recursive: true });
    await writeFile(sysusersFile, sysusersText(user, home), { mode: 0o644 });
    await say('systemd-sysusers', sysusersFile);
    files.push(sysusersFile);
  }
  const id = await idOf(user);
  if (id === null) throw refused(`The user ${user} was not created: create it, and repeat this`);
  await assertRuns(plan, id);
  await writeFile(unitFile, plan.text, { mode: 0o644 });
  await say('systemctl', 'daemon-reload');
  const owned = (await stat(home)).uid === id.uid;
  return {
    unit: unitOf(release),
    files,
    next: [
      ...(owned ? [] : [`chown -R ${user}: ${home}`]),
      `systemctl enable --now ${unitOf(release)}`,
      `systemctl status ${unitOf(release)}`,
    ],
  };
}

/**
 * Removes the unit. The user and the home stay.
 * @throws BrambleError ERR_SERVICE_MANAGER without systemd, and while a supervisor runs as a service
 */
export async function uninstallService(): Promise<{ files: readonly string[] }> {
  await assertSystemd();
  const pattern = unitOf('*');
  const listed = await say('systemctl', 'list-units', '--plain', '--no-legend', '--state=active', pattern);
  const [active] = listed.trim().split(/\s+/);
  if (active) throw refused(`${active} is running: stop it first (systemctl disable --now ${active})`);
  const wants = '/etc/systemd/system/multi-user.target.wants';
  const links = (await readdir(wants).catch(() => [])).filter((name) => /^bramble@.*\.service$/.test(name));
  const files = [...links.map((name) => join(wants, name)), unitFile];
  const gone: string[] = [];
  for (const file of files) {
    if (await rm(file).then(() => true, isAbsent)) gone.push(file);
  }
  await say('systemctl', 'daemon-reload');
  return { files: gone };
}

/** @see sd_booted(3) */
async function assertSystemd(): Promise<void> {
  const booted = await access('/run/systemd/system').then(
    () => true,
    () => false,
  );
  if (!booted) {
    throw refused(
      'This host was not started by systemd. `bramble service install --print` shows the unit; elsewhere run ' +
        '`bramble up` under the service manager that there is, which must not end its processes with it',
    );
  }
  if (process.getuid?.() !== 0) throw refused('Only root may change the services of this host: use sudo');
}

/** Node.js of a checkout may lie where only its owner gets. */
async function assertRuns({ node, user }: ServicePlan, id: { uid: number; gid: number }): Promise<void> {
  try {
    await run(node, ['--version'], { ...id, cwd: '/' });
  } catch (cause) {
    throw refused(`The user ${user} cannot run ${node} (${messageOf(cause)}). Name another Node.js with --node`, cause);
  }
}

async function idOf(user: string): Promise<{ uid: number; gid: number } | null> {
  try {
    const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => (await run('id', [flag, user])).stdout));
    return { uid: Number(uid), gid: Number(gid) };
  } catch {
    return null;
  }
}

async function say(program: string, ...words: string[]): Promise<string> {
  try {
    return (await run(program, words)).stdout;
  } catch (cause) {
    throw refused(`${program} ${words.join(' ')} failed: ${messageOf(cause)}`, cause);
  }
}

function isAbsent(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOENT') return false;
  throw error;
}

function refused(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_SERVICE_MANAGER', `${why}.`, { cause });
}
