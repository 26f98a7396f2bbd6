/**
 * Starts and stops the processes of one name, and reports what becomes of each: started, ready, hung, exited.
 *
 * Invariant: an exit counts as expected only if it was asked for here; after `leave` only those are reported, because the
 * other processes belong to another supervisor.
 */
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { OnEvent } from './events.ts';
import type { ProcessSpec } from './slot-step.ts';
import { type StartEnvironment, type SupervisedProcess, startProcess } from './supervised-process.ts';

export interface Launcher {
  /** null when it could not be started; that has been reported. */
  start(spec: ProcessSpec): Promise<SupervisedProcess | null>;
  /** Reports on a process that is already running. */
  adopt(adopted: SupervisedProcess): void;
  /** SIGTERM, then SIGKILL after the grace; resolves when it has exited. */
  stop(running: SupervisedProcess): Promise<void>;
  /** From now on the processes are left to another supervisor. */
  leave(): void;
}

export function createLauncher(options: {
  name: string;
  environment: StartEnvironment;
  /** Between SIGTERM and SIGKILL. */
  stopGraceMs: number;
  onEvent: OnEvent;
  onExited: (exited: SupervisedProcess, expected: boolean) => void;
}): Launcher {
  const { name, environment, onEvent } = options;
  const expectedExits = new Set<number>();
  let left = false;

  function watch(started: SupervisedProcess): void {
    const { pid } = started;
    void started.ready.then(() => onEvent({ type: 'ready', name, pid }));
    void started.hung.then(() => {
      onEvent({ type: 'hung', name, pid, silentMs: environment.hungAfterMs });
      started.kill();
    });
    void started.exited.then(({ code, signal }) => {
      if (left && !expectedExits.has(pid)) return;
      const expected = expectedExits.delete(pid);
      onEvent({ type: 'exited', name, pid, code, signal, expected });
      options.onExited(started, expected);
    });
  }

  return {
    start: async (spec) => {
      let started: SupervisedProcess;
      try {
        started = await startProcess(spec, environment);
      } catch (error) {
        const code = isBrambleError(error) ? error.code : 'ERR_PROCESS_START';
        onEvent({ type: 'refused', name, code, message: messageOf(error) });
        return null;
      }
      onEvent({ type: 'started', name, kind: spec.kind, release: spec.release, pid: started.pid });
      watch(started);
      return started;
    },
    adopt: (adopted) => {
      const { pid, spec } = adopted;
      onEvent({ type: 'adopted', name, kind: spec.kind, release: spec.release, pid });
      watch(adopted);
    },
    stop: async (running) => {
      expectedExits.add(running.pid);
      await running.stop(options.stopGraceMs);
      expectedExits.delete(running.pid);
    },
    leave: () => {
      left = true;
    },
  };
}
