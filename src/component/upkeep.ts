/**
 * Periodic clean-up in a process, in steps. Invariant: each turn starts from the database, and a step that fails is
 * logged and does not hold up the others.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../process/log/logger.ts';

export interface Upkeep {
  /** One turn. Never rejects. */
  turn(): Promise<void>;
  /** Turns until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

interface UpkeepOptions {
  /** What is cleaned up, for the log. */
  of: string;
  /** By name, in this order. */
  steps: Readonly<Record<string, () => Promise<unknown>>>;
  clock: Clock;
  log: Logger;
}

const turnMs = 60_000;

export function createUpkeep({ of, steps, clock, log }: UpkeepOptions): Upkeep {
  async function turn(): Promise<void> {
    for (const [step, work] of Object.entries(steps)) {
      try {
        await work();
      } catch (error) {
        log.error({ step, error: messageOf(error) }, `the upkeep of ${of} failed; will retry`);
      }
    }
  }

  return {
    turn,
    run: async (signal) => {
      while (!signal.aborted) {
        await turn();
        await clock.sleep(turnMs, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason;
        });
      }
    },
  };
}
