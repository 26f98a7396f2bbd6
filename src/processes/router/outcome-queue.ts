/**
 * Reports of request outcomes that no instance has acknowledged yet, the oldest first.
 *
 * Invariant: a report is acknowledged whole or given up whole, and its number is never used again.
 */
import { maxOutcomes, outcomesLastMs, type RequestOutcome } from '../../link/messages.ts';

export interface OutcomeReport {
  readonly sequence: number;
  readonly beganMs: number;
  readonly outcomes: readonly RequestOutcome[];
}

export class OutcomeQueue {
  readonly #maxWaiting: number;
  readonly #onGivenUp: (outcomes: number) => void;
  readonly #reports: OutcomeReport[] = [];
  #sequence = 0;
  #givenUp = 0;

  /** @param maxWaiting outcomes in all reports */
  constructor(maxWaiting: number, onGivenUp: (outcomes: number) => void) {
    this.#maxWaiting = maxWaiting;
    this.#onGivenUp = onGivenUp;
  }

  get first(): OutcomeReport | undefined {
    return this.#reports[0];
  }

  /** Outcomes in all reports. */
  get waiting(): number {
    return this.#reports.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
  }

  /** Outcomes given up so far. */
  get givenUp(): number {
    return this.#givenUp;
  }

  /** Adds what was counted since `beganMs`; gives up what is too much, or too old at `nowMs`. */
  add(outcomes: readonly RequestOutcome[], beganMs: number, nowMs: number): void {
    for (let from = 0; from < outcomes.length; from += maxOutcomes) {
      this.#sequence += 1;
      const sequence = this.#sequence;
      this.#reports.push({ sequence, beganMs, outcomes: outcomes.slice(from, from + maxOutcomes) });
    }
    while (this.waiting > this.#maxWaiting) this.#giveUp();
    while (this.first && nowMs - this.first.beganMs > outcomesLastMs) this.#giveUp();
  }

  /** It was acknowledged; it may have been given up meanwhile. */
  acknowledge(report: OutcomeReport): void {
    if (this.first === report) this.#reports.shift();
  }

  #giveUp(): void {
    const report = this.#reports.shift();
    if (report === undefined) return;
    this.#givenUp += report.outcomes.length;
    this.#onGivenUp(report.outcomes.length);
  }
}
