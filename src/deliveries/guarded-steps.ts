/**
 * The steps of the policy service, and its work in the background. Invariant: one that fails is logged and counted, and
 * keeps no other from running.
 */
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../process/log/logger.ts';

export interface GuardedSteps {
  /** Never rejects. */
  take(name: string, work: () => Promise<void>): Promise<void>;
  inBackground(name: string, work: () => Promise<void>): void;
  /** Resolves when what was begun in the background has ended. */
  settled(): Promise<void>;
  failed(): number;
}

export function createGuardedSteps(log: Pick<Logger, 'error'>): GuardedSteps {
  const background = new Set<Promise<void>>();
  let failed = 0;

  async function take(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      failed += 1;
      log.error({ step: name, error: messageOf(error) }, 'a step of the policy service failed; will retry next turn');
    }
  }

  return {
    take,
    inBackground(name, work) {
      const running = take(name, work).finally(() => background.delete(running));
      background.add(running);
    },
    settled: async () => void (await Promise.allSettled(background)),
    failed: () => failed,
  };
}
