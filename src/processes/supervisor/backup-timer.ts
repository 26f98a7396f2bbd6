/**
 * Begins the scheduled backups of this host: a process of its own for each, `bramble backup schedule run`, of the supervisor's own
 * release. It goes on through fences and upgrades, since the supervisor does.
 *
 * Invariants: no second one begins while one of this supervisor's is at work (one that another supervisor began holds a lock of its
 * own); and a failure to look or to start stops nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { dueNow, readSchedule, readScheduleState } from './backup-schedule.ts';
import { openLog } from './component-log.ts';
import type { OnEvent } from './events.ts';

export interface BackupTimer {
  /** SIGTERM, which leaves nothing half-made, then SIGKILL after the time. */
  end(graceMs: number): Promise<void>;
  /** Leaves a running one to finish. */
  letGo(): void;
}

interface BackupTimerOptions {
  home: string;
  /** Arguments of Node.js for a scheduled run. */
  command: readonly string[];
  onEvent: OnEvent;
  lookEveryMs?: number;
}

/** Its log, beside those of components. */
export const backupLog = 'backup';

const defaultLookEveryMs = 15_000;

export function startBackupTimer({
  home,
  command,
  onEvent,
  lookEveryMs = defaultLookEveryMs,
}: BackupTimerOptions): BackupTimer {
  let running: ChildProcess | undefined;
  let looking: Promise<void> | undefined;
  let over = false;
  let told = '';

  async function look(): Promise<void> {
    const schedule = await readSchedule(home);
    told = '';
    if (schedule === undefined) return;
    if (dueNow(schedule, await readScheduleState(home), new Date()) === undefined || over) return;
    await start();
  }

  async function start(): Promise<void> {
    const log = await openLog(home, backupLog);
    try {
      const child = spawn(process.execPath, command, {
        cwd: home,
        env: { ...process.env, BRAMBLE_HOME: home },
        stdio: ['ignore', log.fd, log.fd],
        // Apart from an interrupt typed at the terminal, and from a supervisor that ends.
        detached: true,
      });
      await once(child, 'spawn');
      child.on('error', () => undefined);
      running = child;
      onEvent({ type: 'backup-begun', pid: child.pid ?? 0 });
      child.once('exit', (code, signal) => {
        running = undefined;
        if (!over) onEvent({ type: 'backup-ended', code, signal });
      });
    } finally {
      log.close();
    }
  }

  const timer = setInterval(() => {
    if (running !== undefined || looking !== undefined || over) return;
    looking = look()
      .catch((error: unknown) => {
        const code = isBrambleError(error) ? error.code : 'ERR_PROCESS_START';
        if (told !== code) onEvent({ type: 'backup-not-begun', code, message: messageOf(error) });
        told = code;
      })
      .finally(() => {
        looking = undefined;
      });
  }, lookEveryMs);

  async function noMore(): Promise<void> {
    over = true;
    clearInterval(timer);
    await looking;
  }

  return {
    end: async (graceMs) => {
      await noMore();
      const child = running;
      if (child === undefined) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(kill);
    },
    letGo: () => {
      over = true;
      clearInterval(timer);
      running?.unref();
    },
  };
}
