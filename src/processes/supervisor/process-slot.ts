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
import type { OnEvent } from './events.ts';
import { createLauncher, type Launcher } from './launcher.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { nextStep, type ProcessSpec, type SlotStep, sameSpec } from './slot-step.ts';
import type { StartEnvironment, SupervisedProcess } from './supervised-process.ts';

/** The longest possible timer; when it fires, the slot just looks again. */
const untilRungMs = 2 ** 31 - 1;
const never = new AbortController().signal;

interface SlotOptions {
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
  /** Nothing runs, and nothing is wanted. */
  isIdle(): boolean;
  /** Stops the process and ends the slot. */
  end(): Promise<void>;
  /** Ends the slot and leaves the process to another supervisor. */
  letGo(): Promise<void>;
}

export function createSlot(options: SlotOptions): ProcessSlot {
  return new Slot(options);
}

class Slot implements ProcessSlot {
  readonly #options: SlotOptions;
  readonly #launcher: Launcher;
  readonly #backoff = new RestartBackoff();
  readonly #bell = createBell();
  readonly #ended: Promise<void>;
  #wanted: ProcessSpec | null;
  #running: SupervisedProcess | null;
  #lastKind: string | null = null;
  #ending: 'no' | 'stopping' | 'letting-go' = 'no';

  constructor(options: SlotOptions) {
    const { adopted } = options;
    this.#options = options;
    this.#wanted = adopted?.spec ?? null;
    this.#running = adopted ?? null;
    this.#launcher = createLauncher({ ...options, onExited: (exited, expected) => this.#onExited(exited, expected) });
    if (adopted !== undefined) this.#launcher.adopt(adopted);
    this.#ended = this.#run();
  }

  want(spec: ProcessSpec | null): void {
    this.#lastKind = spec?.kind ?? this.#lastKind;
    const before = this.#wanted;
    this.#wanted = spec;
    // The credential of an adopted process was unknown: from now on it can be restarted.
    const asBefore = spec !== null && before !== null && !before.credentialUnknown && sameSpec(spec, before);
    if (spec === null ? before !== null : !asBefore) {
      this.#backoff.forget();
      this.#bell.ring();
    }
  }

  kind(): string | null {
    return this.#running?.spec.kind ?? this.#lastKind;
  }

  isIdle(): boolean {
    return this.#running === null && this.#wanted === null;
  }

  async end(): Promise<void> {
    this.#ending = 'stopping';
    this.#bell.ring();
    await this.#ended;
  }

  async letGo(): Promise<void> {
    this.#ending = 'letting-go';
    this.#launcher.leave();
    this.#bell.ring();
    await this.#ended;
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#ending === 'letting-go') {
        this.#running?.letGo();
        return;
      }
      const step = nextStep({
        wanted: this.#ending === 'no' ? this.#wanted : null,
        running: this.#running?.spec ?? null,
        yields: this.#running?.yields() ?? false,
        failure: this.#backoff.failure,
        nowMs: Date.now(),
      });
      if (step.type === 'nothing' && this.#ending !== 'no') return;
      await this.#take(step);
    }
  }

  async #take(step: SlotStep): Promise<void> {
    switch (step.type) {
      case 'nothing':
        return await this.#bell.rest(untilRungMs, never);
      case 'wait':
        return await this.#bell.rest(step.waitMs, never);
      case 'start': {
        const started = await this.#start(step.spec);
        this.#running = started === null || started.hasExited() ? null : started;
        return;
      }
      case 'stop':
        if (this.#running !== null) await this.#launcher.stop(this.#running);
        return;
      case 'replace':
        return await this.#replace(step.spec);
      default:
        assertNever(step);
    }
  }

  /** null when it could not be started; that has been reported and counts as a failure. */
  async #start(spec: ProcessSpec): Promise<SupervisedProcess | null> {
    const started = await this.#launcher.start(spec);
    if (started === null) this.#fail(spec);
    return started;
  }

  async #replace(spec: ProcessSpec): Promise<void> {
    const { name, onEvent } = this.#options;
    const successor = await this.#start(spec);
    if (successor === null) return;
    const outcome = await this.#trial(successor);
    if (outcome === 'serving') {
      const before = this.#running;
      this.#running = successor.hasExited() ? null : successor;
      this.#backoff.succeed();
      onEvent({
        type: 'replaced',
        name,
        fromRelease: before?.spec.release ?? spec.release,
        toRelease: spec.release,
        pid: successor.pid,
      });
      if (before !== null) await this.#launcher.stop(before);
    } else if (outcome !== 'exited') {
      await this.#launcher.stop(successor);
      if (outcome === 'late') this.#fail(spec);
    }
  }

  /** Until it serves, or it is clear that it will not replace anything. */
  async #trial({ spec, serving, exited }: SupervisedProcess): Promise<'serving' | 'exited' | 'late' | 'unwanted'> {
    const race = new AbortController();
    const outcome = await Promise.race([
      serving.then(() => 'serving' as const),
      exited.then(() => 'exited' as const),
      delay(this.#options.successorReadyMs, 'late' as const, { ref: false }),
      this.#unwanted(spec, race.signal),
    ]);
    race.abort();
    return outcome;
  }

  /** Resolves when the successor is no longer wanted, or the race is over. */
  async #unwanted(spec: ProcessSpec, race: AbortSignal): Promise<'unwanted'> {
    while (!race.aborted && this.#ending === 'no' && this.#wanted !== null && sameSpec(this.#wanted, spec)) {
      await this.#bell.rest(untilRungMs, race);
    }
    return 'unwanted';
  }

  #onExited(exited: SupervisedProcess, expected: boolean): void {
    if (this.#running === exited) this.#running = null;
    if (!expected) {
      this.#backoff.lived(Date.now() - exited.startedAtMs);
      this.#fail(exited.spec);
    }
    this.#bell.ring();
  }

  #fail(spec: ProcessSpec): void {
    const inMs = this.#backoff.fail(spec, Date.now());
    if (this.#wanted !== null) this.#options.onEvent({ type: 'restarting', name: this.#options.name, inMs });
  }
}
