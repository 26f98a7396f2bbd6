/**
 * When a process that failed may be started again.
 *
 * Invariant: every failure in a row makes the delay longer, up to a limit, until a process has lived or served.
 */
import { healthyLifeMs, type ProcessSpec, restartDelayMs } from './slot-step.ts';

export class RestartBackoff {
  #failures = 0;
  #failure: { spec: ProcessSpec; notBeforeMs: number } | null = null;

  /** The last failed attempt, and when the next may be made. */
  get failure(): { spec: ProcessSpec; notBeforeMs: number } | null {
    return this.#failure;
  }

  /** @returns how long the next attempt has to wait */
  fail(spec: ProcessSpec, nowMs: number): number {
    this.#failures += 1;
    const inMs = restartDelayMs(this.#failures);
    this.#failure = { spec, notBeforeMs: nowMs + inMs };
    return inMs;
  }

  /** A process that has ended had lived this long. */
  lived(lifeMs: number): void {
    if (lifeMs >= healthyLifeMs) this.#failures = 0;
  }

  /** A process serves. */
  succeed(): void {
    this.#failures = 0;
  }

  /** Something else is wanted: the next attempt need not wait. */
  forget(): void {
    this.#failures = 0;
    this.#failure = null;
  }
}
