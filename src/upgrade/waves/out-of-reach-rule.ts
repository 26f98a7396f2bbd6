/**
 * What a wave does about accounts that have moved and whose devices do not come, once everybody else has settled: it goes on
 * without them, has the upgrade paused, or waits for them; the first two after a time that is counted from its start. Pure.
 *
 * Invariant: a wave that waits for them says so, and until when.
 */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import { counted } from '../../base/counted.ts';

export type OutOfReachRule = Pick<PlanOptions, 'outOfReach' | 'outOfReachSeconds'>;

/** @param runningSeconds since the wave began, or was resumed, without those in which no window was open */
export function awaitOutOfReach(
  rule: OutOfReachRule,
  accounts: number,
  runningSeconds: number,
): 'go-on' | 'wait' | 'pause' {
  if (accounts === 0) return 'go-on';
  if (rule.outOfReach === 'wait' || runningSeconds < rule.outOfReachSeconds) return 'wait';
  return rule.outOfReach === 'pause' ? 'pause' : 'go-on';
}

/** Whether an operator has to do something if they stay away. */
export function holdsUp({ outOfReach }: OutOfReachRule): boolean {
  return outOfReach !== 'leave';
}

/** `2 accounts of wave 1 (canary) have moved, but their devices do not connect` */
export function outOfReachText(accounts: number, wave: { number: number; name: string }): string {
  const have = accounts === 1 ? 'has moved, but its' : 'have moved, but their';
  return `${counted(accounts, 'account')} of wave ${wave.number} (${wave.name}) ${have} devices do not connect`;
}

/** What follows if they stay away; `until` is no longer to come where it is null. */
export function outOfReachFollows(rule: OutOfReachRule, until: Date | null): string {
  if (rule.outOfReach === 'wait') return 'the wave waits until they do';
  if (until === null) return rule.outOfReach === 'pause' ? 'the upgrade pauses' : 'nothing is waiting for them';
  return rule.outOfReach === 'pause'
    ? 'the upgrade pauses for them at the deadline'
    : 'the wave goes on without them at the deadline';
}

export const leaveThem =
  '`bramble upgrade set --out-of-reach leave` goes on without them; what they are owed, they get when they connect';
