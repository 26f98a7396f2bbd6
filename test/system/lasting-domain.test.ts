/**
 * A domain of one release that lasts: accounts are moved, instances crash and stop, everything is killed at once. Devices come
 * again, and nothing is lost.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertNothingLost } from '../harness/evidence.ts';
import { describeAbsence } from './lasting-domain/absent-instances.ts';
import { describeAccountMoves } from './lasting-domain/account-moves.ts';
import { describeCrashingInstance } from './lasting-domain/crashing-instance.ts';
import { lastingDomain } from './lasting-domain/stage.ts';

describe('a lasting domain', () => {
  const stage = lastingDomain();

  describeCrashingInstance(stage);
  describeAccountMoves(stage);
  describeAbsence(stage);

  test('nothing was lost or done twice, and the budget was never overdrawn', async () => {
    const { domain, fleet, sampler, enqueued } = stage;
    assert(sampler.samples.budgetChecks > 100);
    await assertNothingLost(domain, fleet, { samples: sampler.samples, enqueued });
  });
});
