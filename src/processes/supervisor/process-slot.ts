/**
 * Brings one named process to its desired state, step by step (`slot-step.ts` has the rules), and restarts it when it
 * exits unexpectedly or hangs.
 *
 * Invariant: at most one process of the name runs, except while a successor that is already serving (a router on the
 * same listening sockets, an instance or connection service over its own link) lets its predecessor drain.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { assertNever } from '../../base/assert-never.ts';
import { createBell } from '../../base/bell.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { OnEvent } from './events.ts';
import { healthyLifeMs, nextStep, type ProcessSpec, restartDelayMs, sameSpec } from './slot-step.ts';
import { type StartEnvironment, type SupervisedProcess, startProcess } from './supervised-process.ts';

/** The longest possible timer; when it fires, the slot just looks again. */
const untilRungMs = 2 ** 31 - 1;
const never = new AbortController().signal;

export interface SlotOptions {
  name: string;
  environment: StartEnvironment;
  /** Between SIGTERM and SIGKILL. */
  stopGraceMs: number;
  /** How long a successor may take to serve before the attempt counts as failed. */
  successorReadyMs: number;
  onEvent: OnEvent;
  /** The process that is already running; it is left alone until something else is wanted. */
  adopted?: SupervisedProcess;
}

export interface ProcessSlot {
  /** Changes what is wanted; null wants it stopped. Returns at once. */
  want(spec: ProcessSpec | null): void;
  /** Kind of the running or last wanted process, for the order of stopping. */
  kind(): string | null;
  /** Stops the process and ends the slot. */
  end(): Promise<void>;
  /** Ends the slot and leaves the process to another supervisor. */
  letGo(): Promise<void>;
}

export function createSlot(options: SlotOptions): ProcessSlot {
  const { name, environment, onEvent } = options;
  let wanted: ProcessSpec | null = options.adopted?.spec ?? null;
  let running: SupervisedProcess | null = options.adopted ?? null;
  let failure: { spec: ProcessSpec; notBeforeMs: number } | null = null;
  let failures = 0;
  let lastKind: string | null = null;
  let ending: 'no' | 'stopping' | 'letting-go' = 'no';
  const bell = createBell();
  const expectedExits = new Set<number>();

  function fail(spec: ProcessSpec): void {
    failures += 1;
    const inMs = restartDelayMs(failures);
    failure = { spec, notBeforeMs: Date.now() + inMs };
    if (wanted !== null) {
      onEvent({ type: 'restarting', name, inMs });
    }
  }

  /** null when it could not be started; that has been reported and counts as a failure. */
  async function start(spec: ProcessSpec): Promise<SupervisedProcess | null> {
    let started: SupervisedProcess;
    try {
      started = await startProcess(spec, environment);
    } catch (error) {
      const code = isBrambleError(error) ? error.code : 'ERR_PROCESS_START';
      onEvent({ type: 'refused', name, code, message: messageOf(error) });
      fail(spec);
      return null;
    }
    onEvent({ type: 'started', name, kind: spec.kind, release: spec.release, pid: started.pid });
    watch(started);
    return started;
  }

  function watch(started: SupervisedProcess): void {
    const { pid, spec } = started;
    void started.ready.then(() => onEvent({ type: 'ready', name, pid }));
    void started.hung.then(() => {
      onEvent({ type: 'hung', name, pid, silentMs: environment.hungAfterMs });
      started.kill();
    });
    void started.exited.then(({ code, signal }) => {
      if (ending === 'letting-go' && !expectedExits.has(pid)) return;
      const expected = expectedExits.delete(pid);
      onEvent({ type: 'exited', name, pid, code, signal, expected });
      if (running === started) {
        running = null;
      }
      if (!expected) {
        failures = Date.now() - started.startedAtMs >= healthyLifeMs ? 0 : failures;
        fail(spec);
      }
      bell.ring();
    });
  }

  async function startFirst(spec: ProcessSpec): Promise<void> {
    const started = await start(spec);
    running = started === null || started.hasExited() ? null : started;
  }

  async function stop(one: SupervisedProcess): Promise<void> {
    expectedExits.add(one.pid);
    await one.stop(options.stopGraceMs);
    expectedExits.delete(one.pid);
  }

  async function replace(spec: ProcessSpec): Promise<void> {
    const successor = await start(spec);
    if (successor === null) {
      return;
    }
    const race = new AbortController();
    const outcome = await Promise.race([
      successor.serving.then(() => 'serving' as const),
      successor.exited.then(() => 'exited' as const),
      delay(options.successorReadyMs, 'late' as const, { ref: false }),
      unwanted(spec, race.signal),
    ]);
    race.abort();
    if (outcome === 'serving') {
      const before = running;
      running = successor.hasExited() ? null : successor;
      failures = 0;
      onEvent({
        type: 'replaced',
        name,
        fromRelease: before?.spec.release ?? spec.release,
        toRelease: spec.release,
        pid: successor.pid,
      });
      if (before !== null) {
        await stop(before);
      }
    } else if (outcome !== 'exited') {
      await stop(successor);
      if (outcome === 'late') {
        fail(spec);
      }
    }
  }

  /** Resolves when the successor is no longer wanted, or the race is over. */
  async function unwanted(spec: ProcessSpec, race: AbortSignal): Promise<'unwanted'> {
    while (!race.aborted && ending === 'no' && wanted !== null && sameSpec(wanted, spec)) {
      await bell.rest(untilRungMs, race);
    }
    return 'unwanted';
  }

  async function run(): Promise<void> {
    for (;;) {
      if (ending === 'letting-go') {
        running?.letGo();
        return;
      }
      const step = nextStep({
        wanted: ending === 'no' ? wanted : null,
        running: running?.spec ?? null,
        yields: running?.yields() ?? false,
        failure,
        nowMs: Date.now(),
      });
      switch (step.type) {
        case 'nothing':
          if (ending !== 'no') {
            return;
          }
          await bell.rest(untilRungMs, never);
          break;
        case 'wait':
          await bell.rest(step.waitMs, never);
          break;
        case 'start':
          await startFirst(step.spec);
          break;
        case 'stop':
          if (running !== null) {
            await stop(running);
          }
          break;
        case 'replace':
          await replace(step.spec);
          break;
        default:
          assertNever(step);
      }
    }
  }

  if (options.adopted !== undefined) {
    const { pid, spec } = options.adopted;
    onEvent({ type: 'adopted', name, kind: spec.kind, release: spec.release, pid });
    watch(options.adopted);
  }
  const ended = run();
  const end = async (how: 'stopping' | 'letting-go') => {
    ending = how;
    bell.ring();
    await ended;
  };
  return {
    want: (spec) => {
      lastKind = spec?.kind ?? lastKind;
      const before = wanted;
      wanted = spec;
      // The credential of an adopted process was unknown: from now on it can be restarted.
      const asBefore = spec !== null && before !== null && !before.credentialUnknown && sameSpec(spec, before);
      if (spec === null ? before !== null : !asBefore) {
        failures = 0;
        failure = null;
        bell.ring();
      }
    },
    kind: () => running?.spec.kind ?? lastKind,
    end: async () => await end('stopping'),
    letGo: async () => await end('letting-go'),
  };
}
