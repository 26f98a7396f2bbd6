/** A second computer of a domain: a home and a supervisor of its own that joined by an invitation. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { hostOperations } from '../../src/api/hosts.ts';
import { until, whenWaitedInVain } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { workingTreeProgram } from './archives.ts';
import { type CreatedDomain, type RunningDomain, runCommand } from './domain.ts';
import type { HostNetwork } from './host-network.ts';

export interface FurtherHost {
  name: string;
  home: string;
  supervisor: ChildProcess;
  /** More for the environment of its supervisor, from the next start on. */
  environment: NodeJS.ProcessEnv;
  /** Runs `bramble` there. */
  command(...args: string[]): ReturnType<typeof runCommand>;
  start(): void;
  /** Starts that of an installed release, which takes over from the running one. */
  startSupervisorOf(release: string): void;
  /** Ends it, and removes the home unless it is to be kept. */
  stop(options?: { keep?: boolean }): Promise<void>;
}

const stopWithinMs = 90_000;

/** Gives a domain on an external database a role for each kind of process, as its documentation says. Its supervisor uses them once it starts. */
export async function makeRoles({ databaseUrl, command }: CreatedDomain): Promise<void> {
  const script = await succeed(command('database', 'roles', '--sql'));
  const superuser = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  try {
    // It waits for no lock longer than half a second, and says that it can be run again.
    await until('the script of the roles has run', 60_000, async () => {
      await superuser.unsafe(script).catch(async (error: unknown) => {
        await superuser.unsafe('rollback');
        throw error;
      });
      return true;
    });
  } finally {
    await superuser.end({ timeout: 5 });
  }
  await succeed(command('database', 'roles', '--use'));
}

/** The same of one that is running; restarts its supervisor. */
export async function separateRoles(domain: RunningDomain): Promise<void> {
  await makeRoles(domain);
  domain.supervisor.kill('SIGTERM');
  await exitWithin(domain.supervisor, stopWithinMs, 'the supervisor');
  await domain.startSupervisor();
}

async function succeed(running: ReturnType<typeof runCommand>): Promise<string> {
  const { code, stdout, stderr } = await running;
  if (code !== 0) throw new Error(`exit status ${code}: ${stderr}`);
  return stdout;
}

/** The database as other hosts would name it. */
export function sharedUrl(domain: RunningDomain, address?: string): string {
  const url = new URL(domain.databaseUrl);
  if (address !== undefined) url.hostname = address;
  url.username = '';
  url.password = '';
  return url.href;
}

/** Invites the host, joins as it in a home of its own, and starts its supervisor; in a network of its own, if it has one. */
export async function joinFurtherHost(
  domain: RunningDomain,
  name: string,
  { network, flags = [] }: { network?: HostNetwork; flags?: readonly string[] } = {},
): Promise<FurtherHost> {
  const home = await mkdtemp(join(tmpdir(), `bramble-${name}-`));
  const within = network?.within ?? [];
  const environment = { ...process.env, BRAMBLE_HOME: home };
  const invitation = join(home, 'invitation');
  const url = sharedUrl(domain, network?.here);
  await succeed(domain.command('host', 'invite', name, '--database-url', url, '--out', invitation, ...flags));
  const program = await workingTreeProgram();
  const dumpNoMore = whenWaitedInVain(async () => `${name}:\n${await readLogs(home)}`);
  const endSupervisor = () => void host.supervisor?.kill('SIGTERM');
  process.once('exit', endSupervisor);
  const host: FurtherHost = {
    name,
    home,
    supervisor: undefined as never,
    command: (...args) => runCommand(args, environment, within),
    environment: {},
    start: () => start(program),
    startSupervisorOf: (release) => start(join(home, 'releases', release, 'bramble.mjs')),
    async stop({ keep = false } = {}) {
      dumpNoMore();
      process.off('exit', endSupervisor);
      if (host.supervisor !== undefined) {
        host.supervisor.kill('SIGTERM');
        await exitWithin(host.supervisor, stopWithinMs, `the supervisor of ${name}`);
      }
      if (!keep) await rm(home, { recursive: true, force: true });
    },
  };
  function start(from: string): void {
    const [file = '', ...before] = [...within, process.execPath];
    host.supervisor = spawn(file, [...before, from, 'up'], {
      env: { ...environment, ...host.environment },
      stdio: 'ignore',
    });
  }
  try {
    await succeed(host.command('join', '--invitation', invitation));
    const file = join(home, 'config.json');
    const configuration = JSON.parse(await readFile(file, 'utf8')) as object;
    await writeFile(file, JSON.stringify({ ...configuration, console: { port: 0 } }));
    host.start();
    await until(`the supervisor of ${name} reports`, 60_000, async () => {
      const { hosts } = await domain.api.call(hostOperations.list, {});
      return hosts.some((one) => one.name === name && one.atWork);
    });
  } catch (error) {
    await host.stop();
    throw error;
  }
  return host;
}

/** Starts the supervisor of the release from the host's own folder, as the upgrade's report says. */
export async function takeOver(host: RunningDomain | FurtherHost, release: string): Promise<void> {
  const before = host.supervisor;
  host.startSupervisorOf(release);
  await exitWithin(before, 60_000, 'the supervisor of the release before');
}

async function readLogs(home: string): Promise<string> {
  const folder = join(home, 'logs');
  const names = await readdir(folder).catch((): string[] => []);
  const texts = await Promise.all(names.map(async (name) => `${name}: ${await readFile(join(folder, name), 'utf8')}`));
  return texts.join('\n').slice(-20_000);
}
