/**
 * One running process of a release: started from verified files, told by its environment what it is, watched for its
 * heartbeat, and stopped within a bounded time whatever state it is in (a stopped one, by SIGSTOP, dies of SIGKILL too).
 *
 * Invariant: only a process that has sent a heartbeat is expected to send more (releases before 1.2 send none), and its
 * silence is counted in turns of our own timer: time in which the supervisor itself, or the machine, stood still is not
 * held against it.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { verifyInstalled } from '../release/archive.ts';
import { programName } from '../release/manifest.ts';
import { openLog } from './component-log.ts';
import type { ListeningSocket } from './listening-socket.ts';
import type { ProcessSpec } from './slot-step.ts';

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface SupervisedProcess {
  readonly spec: ProcessSpec;
  readonly pid: number;
  readonly startedAtMs: number;
  /** Resolves when the process says that it works; never, when it does not. */
  readonly ready: Promise<void>;
  /** Resolves when devices reach it; for one that does not tell, when it is ready. */
  readonly serving: Promise<void>;
  /** It goes on beside a successor of its name until it is stopped; known once it is ready. */
  yields(): boolean;
  readonly exited: Promise<ProcessExit>;
  /** Resolves when it has been silent for too long after a heartbeat; never, when it is not. */
  readonly hung: Promise<void>;
  hasExited(): boolean;
  /** SIGKILL, at once. */
  kill(): void;
  /** SIGTERM, and SIGKILL after the time; resolves when it has exited. */
  stop(graceMs: number): Promise<ProcessExit>;
}

export interface StartEnvironment {
  home: string;
  host: string;
  sockets: readonly ListeningSocket[];
  /** How long a process may be silent after a heartbeat. */
  hungAfterMs: number;
}

/** Of the turns in which a process's silence is counted there are so many in `hungAfterMs`. */
const silentTurns = 15;

/**
 * Starts the process after every file of its release was verified.
 * @throws BrambleError ERR_RELEASE_NOT_INSTALLED, ERR_RELEASE_ARCHIVE_CHANGED, ERR_RELEASE_ARCHIVE_MALFORMED.
 */
export async function startProcess(spec: ProcessSpec, environment: StartEnvironment): Promise<SupervisedProcess> {
  const folder = path.join(environment.home, 'releases', spec.release);
  await verifyInstalled(folder);
  const log = await openLog(environment.home, spec.name);
  try {
    const child = spawn(process.execPath, [path.join(folder, programName), 'run', spec.kind], {
      cwd: environment.home,
      env: environmentOf(spec, environment),
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      // A process group of its own: an interrupt typed at the terminal reaches the supervisor alone, which then stops in order.
      detached: true,
    });
    const exited = new Promise<ProcessExit>((resolve) =>
      child.once('exit', (code, signal) => resolve({ code, signal })),
    );
    const heart = watchHeart(environment.hungAfterMs, exited);
    const ready = Promise.withResolvers<void>();
    const serving = Promise.withResolvers<void>();
    let yields = false;
    child.on('message', (message: { type?: unknown; yields?: unknown } | null) => {
      if (message?.type === 'ready') {
        yields = message.yields === true;
        ready.resolve();
        if (!yields) serving.resolve();
      }
      if (message?.type === 'serving') serving.resolve();
      if (message?.type === 'alive') heart.beat();
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    // From here on errors are those of a channel or a signal to a process that is gone, and its exit tells that.
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
      ready: ready.promise,
      serving: serving.promise,
      yields: () => yields,
      exited,
      hung: heart.stopped,
      hasExited: () => child.exitCode !== null || child.signalCode !== null,
      kill: () => void child.kill('SIGKILL'),
      stop: async (graceMs) => {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        const exit = await exited;
        clearTimeout(timer);
        return exit;
      },
    };
  } finally {
    log.close();
  }
}

function watchHeart(hungAfterMs: number, exited: Promise<unknown>): { beat: () => void; stopped: Promise<void> } {
  const stopped = Promise.withResolvers<void>();
  let turns: NodeJS.Timeout | undefined;
  let silent = 0;
  const turn = () => {
    silent += 1;
    if (silent < silentTurns) return;
    clearInterval(turns);
    stopped.resolve();
  };
  void exited.then(() => clearInterval(turns));
  return {
    beat: () => {
      silent = 0;
      turns ??= setInterval(turn, hungAfterMs / silentTurns);
    },
    stopped: stopped.promise,
  };
}

function environmentOf(spec: ProcessSpec, environment: StartEnvironment): NodeJS.ProcessEnv {
  const { DATABASE_URL: _, NODE_TEST_CONTEXT: __, ...inherited } = process.env;
  return {
    ...inherited,
    BRAMBLE_HOME: environment.home,
    BRAMBLE_HOST: environment.host,
    BRAMBLE_COMPONENT: spec.name,
    BRAMBLE_SETTINGS: JSON.stringify(spec.settings ?? {}),
    ...(spec.databaseUrl === null ? {} : { DATABASE_URL: spec.databaseUrl }),
  };
}
