/** A whole domain as an operator runs it: a home, `bramble up` as a process of its own, its REST API, plain SQL beside it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { type AdministrationClient, chooseInOrder, createAdministrationClient } from '../../src/api/client.ts';
import { domainOperations } from '../../src/api/domain.ts';
import { AnsweredError } from '../../src/api/exchange.ts';
import { addArrayTypes } from '../../src/database/array-types.ts';
import { stopEmbedded } from '../../src/database/embedded/server.ts';
import { prepareHome } from '../../src/setup/prepare-home.ts';
import { until, whenWaitedInVain } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { workingTreeProgram } from './archives.ts';
import { dumpState } from './state-dump.ts';

export interface DomainOptions {
  archive: string;
  instances?: number;
  administrationServices?: number;
  /** Whether to run it under the archive's own supervisor instead of the working tree's. */
  ownSupervisor?: boolean;
  /** Where to create its home; default: a new temporary folder. */
  home?: string;
  /** For the embedded PostgreSQL; default: fast and unsafe. `{}` gives the settings of an installation. */
  databaseSettings?: Readonly<Record<string, string>>;
  /** Addresses of an external PostgreSQL to use instead: for the domain, and for the test's own queries. */
  externalDatabase?: { url: string; outside: string };
  /** The name or address that devices and further hosts connect to; default: loopback. */
  publicHost?: string;
  /** Once the domain is created, before its supervisor is started for the first time. */
  beforeStart?: (created: CreatedDomain) => Promise<void>;
}

export interface CreatedDomain {
  home: string;
  databaseUrl: string;
  /** Runs the `bramble` command of the working tree in its home. */
  command(...args: string[]): ReturnType<typeof runCommand>;
}

/** A supervisor ends its processes after 10 s, one that hangs after 30 s. */
const limitMs = { stop: 90_000, command: 120_000, answer: 20_000 };

const quickDatabase = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '64MB' };

export interface RunningDomain extends CreatedDomain {
  /** Plain SQL from outside. */
  sql: postgres.Sql;
  publicUrl: string;
  token: string;
  supervisor: ChildProcess;
  /** Asks the first administration service that answers. */
  api: AdministrationClient;
  /** The same in another environment, such as another home. */
  commandIn(environment: NodeJS.ProcessEnv, ...args: string[]): ReturnType<typeof runCommand>;
  /** Starts the supervisor again after it was killed, or beside it with options that say so. */
  startSupervisor(...options: string[]): Promise<void>;
  /** Starts that of an installed release, which takes over from the running one. */
  startSupervisorOf(release: string): void;
  /** Stops everything and removes the home unless it is to be kept. */
  stop(options?: { keep?: boolean }): Promise<void>;
}

/** Starts a domain and waits until every wanted process is alive. */
export async function startDomain(options: DomainOptions): Promise<RunningDomain> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'bramble-domain-')));
  const { databaseUrl, release } = await prepareHome({
    home,
    archive: options.archive,
    name: 'Example',
    publicPort: 0,
    srpPort: 0,
    consolePort: 0,
    instances: options.instances ?? 2,
    administrationServices: options.administrationServices ?? 1,
    databaseSettings: options.databaseSettings ?? quickDatabase,
    ...(options.externalDatabase === undefined ? {} : { databaseUrl: options.externalDatabase.url }),
    publicHost: options.publicHost,
  });
  const environment = { ...process.env, BRAMBLE_HOME: home };
  const command = (...args: string[]) => runCommand(args, environment);
  await options.beforeStart?.({ home, databaseUrl, command });
  const sql = postgres(options.externalDatabase?.outside ?? databaseUrl, {
    max: 4,
    // The driver fetches array types outside any statement: an error there, when a test takes the database away, would end
    // the test.
    fetch_types: options.externalDatabase === undefined,
    onnotice: () => {},
    connection: { application_name: 'outside' },
  });
  if (options.externalDatabase !== undefined) addArrayTypes(sql.options);
  const [domain] = await sql`select public_url from domain`;
  const { token } = JSON.parse(await readFile(join(home, 'admin.json'), 'utf8')) as { token: string };
  const api = administrationOf(sql, token);
  // Whatever ends this process, short of kill -9, ends the domain too.
  const endSupervisor = () => void running.supervisor?.kill('SIGTERM');
  const endProcess = () => process.exit(143);
  process.once('exit', endSupervisor).once('SIGTERM', endProcess).once('SIGINT', endProcess);
  const dumpNoMore = whenWaitedInVain(() => dumpState(home, options.externalDatabase?.outside ?? databaseUrl));
  const running: RunningDomain = {
    home,
    databaseUrl,
    sql,
    publicUrl: String(domain?.['public_url']),
    token,
    supervisor: undefined as never,
    api,
    command,
    commandIn: (other, ...args) => runCommand(args, other),
    async startSupervisor(...options) {
      startProgram(await workingTreeProgram(), options);
      await untilAllAlive(sql);
    },
    startSupervisorOf: (release) => startProgram(join(home, 'releases', release, 'bramble.mjs'), []),
    async stop({ keep = false } = {}) {
      dumpNoMore();
      process.off('exit', endSupervisor).off('SIGTERM', endProcess).off('SIGINT', endProcess);
      try {
        running.supervisor.kill('SIGTERM');
        await exitWithin(running.supervisor, limitMs.stop, 'the supervisor');
      } finally {
        await sql.end({ timeout: 2 });
        await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
      }
      const denied = await readDenials(home);
      if (!keep) await rm(home, { recursive: true, force: true });
      if (denied.length > 0) throw new Error(`a process lacked a right in the database:\n${denied.join('\n')}`);
    },
  };
  function startProgram(program: string, options: readonly string[]): void {
    running.supervisor = spawn(process.execPath, [program, 'up', ...options], {
      env: environment,
      stdio: ['ignore', 'ignore', 'ignore'],
    });
  }
  try {
    if (options.ownSupervisor === true) {
      startProgram(join(home, 'releases', release, 'bramble.mjs'), []);
      await untilAllAlive(sql);
    } else await running.startSupervisor();
  } catch (error) {
    await running.stop({ keep: options.home !== undefined });
    throw error;
  }
  return running;
}

/** Permission errors in PostgreSQL's log: rights that are missing in the table of rights. */
async function readDenials(home: string): Promise<string[]> {
  const folder = join(home, 'postgres', 'cluster', 'data', 'log');
  const names = await readdir(folder).catch((): string[] => []);
  const texts = await Promise.all(names.map(async (name) => await readFile(join(folder, name), 'utf8')));
  const lines = texts.flatMap((text) => text.split('\n'));
  return lines.flatMap((line, index) =>
    /permission denied|must be (owner|superuser)/.test(line) ? [lines.slice(index, index + 3).join(' ')] : [],
  );
}

async function untilAllAlive(sql: postgres.Sql): Promise<void> {
  await until('all processes are alive', 60_000, async () => {
    const [row] = await sql`
      select count(*)::int as missing from desired_process p
       where p.state = 'running' and not exists (
         select 1 from component c where c.name = p.name and c.release = p.release and c.stopped_at is null
            and c.lease_until > clock_timestamp() and c.started_at > clock_timestamp() - interval '1 hour'
            and coalesce((c.detail->'links'->0->>'up')::boolean, true))`;
    return row?.['missing'] === 0;
  });
}

/** Every change that tests make through it can safely be repeated. */
function administrationOf(sql: postgres.Sql, token: string): AdministrationClient {
  const find = async () => {
    const services = await sql<{ url: string }[]>`
      select loopback_url as url from component
       where kind = 'administration' and stopped_at is null and lease_until > clock_timestamp() order by name`;
    return { urls: services.map(({ url }) => url), token };
  };
  return createAdministrationClient({ choose: chooseInOrder(find), repeatable: true, timeoutMs: limitMs.answer });
}

/** Runs the `bramble` command of the working tree; `within` comes before it, such as what takes it into another network. */
export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  within: readonly string[] = [],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [file = '', ...before] = [...within, process.execPath];
  const child = spawn(file, [...before, await workingTreeProgram(), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const code = await exitWithin(child, limitMs.command, `bramble ${args.join(' ')}`);
  return { code: code ?? -1, stdout: stdout.text(), stderr: stderr.text() };
}

function collect(stream: NodeJS.ReadableStream) {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}

/** Whether an administration service answers, of whatever release. */
export async function isAnswering({ api }: RunningDomain): Promise<boolean> {
  try {
    await api.send(domainOperations.status, {});
    return true;
  } catch (error) {
    if (error instanceof AnsweredError) return false;
    throw error;
  }
}
