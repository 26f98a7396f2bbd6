/**
 * A process of which only the id and the birth are known, because another supervisor started it.
 *
 * Invariant: no id is signalled or trusted without its birth, and a process has ended only when the system says so.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { birthOf, signalProcess } from '../../base/process-facts.ts';
import type { ProcessExit } from './supervised-process.ts';

const goneCheckMs = 50;
const signalRetryMs = 1000;

export class KnownProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  readonly #birth: string;
  readonly #exit = Promise.withResolvers<ProcessExit>();
  #hasExited = false;
  #left = false;

  constructor(pid: number, birth: string) {
    this.pid = pid;
    this.#birth = birth;
    this.exited = this.#exit.promise;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** While its connection is lost, checks whether it has exited. */
  async lookForEnd(isLost: () => boolean): Promise<void> {
    while (isLost() && !this.#left) {
      // If the system cannot tell at the moment, the process has not ended.
      if ((await birthOf(this.pid).catch(() => this.#birth)) !== this.#birth) {
        this.#hasExited = true;
        this.#exit.resolve({ code: null, signal: null });
        return;
      }
      await delay(goneCheckMs, undefined, { ref: false });
    }
  }

  /** Retries until it succeeds: the caller that stops a process waits for its end. */
  async signal(kind: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    while (!this.#hasExited && !this.#left) {
      try {
        return await signalProcess(this.pid, this.#birth, kind);
      } catch {
        await delay(signalRetryMs, undefined, { ref: false });
      }
    }
  }

  /** SIGTERM, then SIGKILL after the time-out; resolves when it has exited. */
  async stop(graceMs: number): Promise<ProcessExit> {
    await this.signal('SIGTERM');
    const timer = setTimeout(() => void this.signal('SIGKILL'), graceMs);
    const ended = await this.exited;
    clearTimeout(timer);
    return ended;
  }

  /** It is no longer checked or signalled. */
  leave(): void {
    this.#left = true;
  }
}
