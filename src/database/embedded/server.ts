/**
 * The embedded PostgreSQL: started detached, so that it outlives every process of ours, and adopted again by the next.
 *
 * Nothing here takes a lock. PostgreSQL itself guarantees one server for a data folder; of two that start it at the
 * same time one server exits at once, and its starter finds and adopts the other. The running server is always
 * determined from its own file (`postmaster.pid`) and proved by a connection, never assumed from what we requested.
 */
import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../../base/errors.ts';
import { isAlive, runs } from '../../base/process-facts.ts';
import { type Binaries, installBinaries, majorOfData } from './binaries.ts';
import { type Cluster, ensureCluster, readCluster } from './cluster.ts';
import { choosePort, rememberedPort, rememberPort } from './port.ts';
import { findPostmaster, isPostmaster, overwriteReusedPid } from './postmaster.ts';
import { probe, urlOf } from './probe.ts';
import { assertReachable, type ServerUser, serverUser } from './server-user.ts';
import { newStartLog, readStartLog } from './start-log.ts';

interface StartOptions {
  /** Holds binaries, data, password and start-up logs; made when absent. */
  folder: string;
  /** Server settings on top of the defaults, such as `{fsync: 'off'}`. An adopted server keeps those it has. */
  settings?: Readonly<Record<string, string>>;
  /** Restarts a running server from our binaries if it was started from those of another minor version. */
  ownBinaries?: boolean;
  /** Called before that is done. */
  onReplacing?: (to: string) => void;
  /** Binaries to start it from. Default: the platform's package, or those in the folder. */
  binaries?: Binaries;
  signal?: AbortSignal;
  /** How long the start may take, recovery after a crash included. Default 120 s. */
  timeoutMs?: number;
}

export interface EmbeddedServer {
  /** Of the database `bramble`; contains the password. */
  readonly url: string;
  readonly port: number;
  /** Of the postmaster. */
  readonly pid: number;
  /** True when the server ran already. */
  readonly adopted: boolean;
}

interface StopOptions {
  folder: string;
  /** `smart` waits for clients, `fast` ends their sessions, `immediate` leaves recovery to the next start. */
  mode: 'smart' | 'fast' | 'immediate';
  signal?: AbortSignal;
  /** Default 60 s. */
  timeoutMs?: number;
}

const defaultSettings: Readonly<Record<string, string>> = {
  shared_buffers: '128MB',
  max_connections: '200',
  log_min_messages: 'warning',
  // A start's own log file only gets what comes before the collector; the collector's files are bounded: one a weekday.
  logging_collector: 'on',
  log_directory: 'log',
  log_filename: 'postgres-%a.log',
  log_rotation_age: '1d',
  log_rotation_size: '0',
  log_truncate_on_rotation: 'on',
  log_timezone: 'UTC',
  timezone: 'UTC',
};
const pollMs = 20;
const retryMs = 200;
/**
 * Exits because of a rival that started first and is gone again, or orphans of a killed server that still hold its
 * shared memory.
 */
const passing = /lock file "postmaster\.pid" already exists|pre-existing shared memory block/;
/** Exits for any other reason, such as a port that was lost since it was chosen, before we give up. */
const unexplainedExits = 5;

/**
 * Adopts the running server, or starts it: makes the cluster first where there is none, and recovers after a crash.
 * @throws BrambleError ERR_DATABASE_START (with the end of the server's log), ERR_DATABASE_INIT, ERR_DATABASE_BINARIES,
 * ERR_DATABASE_MAJOR, ERR_DATABASE_FOLDER, ERR_DATABASE_USER.
 */
export async function startEmbedded(options: StartOptions): Promise<EmbeddedServer> {
  const folder = path.resolve(options.folder);
  const timeout = AbortSignal.timeout(options.timeoutMs ?? 120_000);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  const settings = { ...defaultSettings, ...options.settings };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const user = await serverUser();
  await assertReachable(folder, user);
  const existing = await readCluster(folder);
  const chosen = async () => options.binaries ?? (await installBinaries(folder, await majorOfData(folder)));
  if (existing !== null) {
    const running = await awaitReady(existing, signal, null);
    if (running !== null) {
      if (options.ownBinaries !== true || (await runs(running.pid, path.join((await chosen()).bin, 'postgres')))) {
        return { ...running, adopted: true };
      }
      options.onReplacing?.((await chosen()).version);
      await stopEmbedded({ folder, mode: 'fast', signal });
    }
  }
  const binaries = await chosen();
  const cluster =
    existing ?? (await ensureCluster(folder, binaries, user, { sync: settings['fsync'] !== 'off', signal }));
  let lastWords = 'nothing';
  for (let unexplained = 0; unexplained < unexplainedExits && !signal.aborted; await delay(retryMs)) {
    const launched = await launch(folder, cluster, binaries, user, settings);
    const running = await awaitReady(cluster, signal, launched.pid);
    if (running !== null) {
      await rememberPort(folder, running.port);
      return { ...running, adopted: running.pid !== launched.pid };
    }
    lastWords = await readStartLog(launched.log);
    unexplained += passing.test(lastWords) ? 0 : 1;
  }
  options.signal?.throwIfAborted();
  throw new BrambleError('ERR_DATABASE_START', `PostgreSQL in ${folder} did not start. Its output: ${lastWords}`);
}

/**
 * Stops the server if it runs, and returns when its process has ended.
 * @returns whether one ran.
 * @throws BrambleError ERR_DATABASE_STOP when it still runs after the time-out.
 */
export async function stopEmbedded(options: StopOptions): Promise<boolean> {
  const cluster = await readCluster(path.resolve(options.folder));
  const running = cluster === null ? null : await findPostmaster(cluster.dataFolder);
  if (cluster === null || running === null) {
    return false;
  }
  process.kill(running.pid, ({ smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const)[options.mode]);
  const deadline = Date.now() + (options.timeoutMs ?? 60_000);
  while (await isPostmaster(running.pid, cluster.dataFolder)) {
    options.signal?.throwIfAborted();
    if (Date.now() > deadline) {
      throw new BrambleError(
        'ERR_DATABASE_STOP',
        `PostgreSQL (process ${running.pid}) did not stop in time: try the mode "immediate".`,
      );
    }
    await delay(pollMs);
  }
  return true;
}

/** Starts one postmaster, detached, and does not wait for it. */
async function launch(
  folder: string,
  cluster: Cluster,
  binaries: Binaries,
  user: ServerUser | null,
  settings: Readonly<Record<string, string>>,
): Promise<{ pid: number; log: string }> {
  await overwriteReusedPid(cluster.dataFolder);
  const port = await choosePort(await rememberedPort(folder));
  const log = await newStartLog(folder);
  const output = await open(log, 'a', 0o600);
  try {
    const all = { ...settings, port: String(port), listen_addresses: '127.0.0.1', unix_socket_directories: '' };
    const child = spawn(
      path.join(binaries.bin, 'postgres'),
      ['-D', cluster.dataFolder, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
        detached: true,
        cwd: '/',
        env: { PATH: process.env['PATH'], LC_ALL: 'C' },
        stdio: ['ignore', output.fd, output.fd],
      },
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    if (child.pid === undefined) {
      throw new BrambleError('ERR_DATABASE_START', 'PostgreSQL was started but reported no process id.');
    }
    return { pid: child.pid, log };
  } finally {
    await output.close();
  }
}

/**
 * Waits while there is a server that may become ready: the recorded one, or `launchedPid` as long as it lives.
 * @returns null when there is none (any more).
 */
async function awaitReady(
  cluster: Cluster,
  signal: AbortSignal,
  launchedPid: number | null,
): Promise<Omit<EmbeddedServer, 'adopted'> | null> {
  while (!signal.aborted) {
    const running = await findPostmaster(cluster.dataFolder);
    if (running === null && (launchedPid === null || !(await isAlive(launchedPid)))) {
      return null;
    }
    // The file is written line by line: the port counts once the last line says that the server is ready.
    if (running !== null && running.status === 'ready') {
      const url = urlOf(cluster.password, running.port);
      if (await probe(url, signal)) {
        return { url, port: running.port, pid: running.pid };
      }
    }
    await delay(pollMs);
  }
  return null;
}
