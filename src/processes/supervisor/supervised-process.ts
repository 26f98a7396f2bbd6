/**
 * One running process of a release: started from verified files, configured by its environment, watched for its
 * heartbeat, and stopped within a bounded time whatever its state (SIGKILL ends even one stopped by SIGSTOP).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { threadPoolSize } from '../../base/name-lookups.ts';
import { wantShape } from '../../process/adoption-messages.ts';
import { verifyInstalled } from '../../release/archive.ts';
import { programName } from '../../release/manifest.ts';
import { readAdoptable } from './adoptable-processes.ts';
import { openLog } from './component-log.ts';
import type { ListeningSocket } from './listening-socket.ts';
import { type ProcessSigns, watchSigns } from './process-signs.ts';
import { answersConsole } from './signpost-place.ts';
import type { ProcessSpec } from './slot-step.ts';

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface SupervisedProcess extends Pick<ProcessSigns, 'ready' | 'serving' | 'isServing' | 'yields' | 'hung'> {
  readonly spec: ProcessSpec;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly exited: Promise<ProcessExit>;
  hasExited(): boolean;
  /** SIGKILL, at once. */
  kill(): void;
  /** SIGTERM, then SIGKILL after the time-out; resolves when it has exited. */
  stop(graceMs: number): Promise<ProcessExit>;
  /** Leaves it to another supervisor: it keeps working, and is no longer listened to here. */
  letGo(): void;
}

export interface StartEnvironment {
  home: string;
  host: string;
  sockets: readonly ListeningSocket[];
  /** Sends the console's socket to a process that answers there and asks for it; without it, processes are told that there is none. */
  handConsole?: (to: ChildProcess) => void;
  /** How long a process may be silent after a heartbeat. */
  hungAfterMs: number;
}

/**
 * Starts the process after every file of its release was verified.
 * @throws BrambleError ERR_RELEASE_NOT_INSTALLED, ERR_RELEASE_ARCHIVE_CHANGED, ERR_RELEASE_ARCHIVE_MALFORMED.
 */
export async function startProcess(spec: ProcessSpec, environment: StartEnvironment): Promise<SupervisedProcess> {
  const folder = path.join(environment.home, 'releases', spec.release);
  await verifyInstalled(folder);
  // Leftovers of killed processes are removed now, not only when the supervisor ends.
  await readAdoptable(environment.home);
  const log = await openLog(environment.home, spec.name);
  try {
    const child = spawn(process.execPath, [...nodeOptions, path.join(folder, programName), 'run', spec.kind], {
      cwd: environment.home,
      env: environmentOf(spec, environment),
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      // In a separate process group: an interrupt typed at the terminal reaches only the supervisor, which then stops
      // everything in order.
      detached: true,
    });
    const exited = new Promise<ProcessExit>((resolve) =>
      child.once('exit', (code, signal) => resolve({ code, signal })),
    );
    const signs = watchSigns(environment.hungAfterMs, exited);
    child.on('message', (message) => {
      signs.take(message);
      if (wantShape.safeParse(message).success && answersConsole(spec.kind)) environment.handConsole?.(child);
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    // From here on errors come from a channel or signal to a process that is gone, which its exit event reports.
    child.on('error', () => undefined);
    if (spec.kind === 'router') {
      for (const socket of environment.sockets) {
        socket.sendTo(child);
      }
    }
    return {
      spec,
      pid: child.pid ?? 0,
      startedAtMs: Date.now(),
      ...signs,
      exited,
      hasExited: () => child.exitCode !== null || child.signalCode !== null,
      kill: () => void child.kill('SIGKILL'),
      stop: async (graceMs) => {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        const exit = await exited;
        clearTimeout(timer);
        return exit;
      },
      letGo: () => {
        signs.release();
        if (child.connected) child.disconnect();
        child.unref();
      },
    };
  } finally {
    log.close();
  }
}

/**
 * V8 fills twice this much before it collects short-lived objects; its own choice, by the machine's memory, is 32 MB,
 * all of which stays resident. This is many times what a request needs.
 */
const nodeOptions = ['--max-semi-space-size=8'];
/**
 * For glibc, unless the operator sets them. Each thread has an arena, which never returns the memory of a large block:
 * digests of activation passwords take 16 MB each. Blocks above one MiB come from the system and are returned to it.
 */
const allocatorSettings = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576' };

function environmentOf(spec: ProcessSpec, environment: StartEnvironment): NodeJS.ProcessEnv {
  const { DATABASE_URL: _, NODE_TEST_CONTEXT: __, ...inherited } = process.env;
  return {
    ...allocatorSettings,
    ...inherited,
    UV_THREADPOOL_SIZE: String(threadPoolSize),
    BRAMBLE_HOME: environment.home,
    BRAMBLE_HOST: environment.host,
    BRAMBLE_COMPONENT: spec.name,
    BRAMBLE_SETTINGS: JSON.stringify(spec.settings ?? {}),
    BRAMBLE_SOCKETS: environment.handConsole !== undefined && answersConsole(spec.kind) ? 'console' : '',
    ...(spec.databaseUrl === null ? {} : { DATABASE_URL: spec.databaseUrl }),
  };
}
