/**
 * One origin over the release fence, forward and back: who asks at the console's address is answered all the time, by the
 * administration service or, while none is at work, by the coordinator, and sees no connection refused.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { until } from '../../src/testing/condition.ts';
import { nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { type ConsolePoll, pollConsole } from '../harness/console-poll.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { openGate, untilUpgrade } from '../harness/upgrade.ts';

describe('the console’s origin', { timeout: 400_000 }, () => {
  let domain: RunningDomain;
  let polls: ConsolePoll[];

  before(async () => {
    domain = await startDomain({ archive: (await workingTreeArchive()).file, instances: 1 });
    const next = await nextArchive();
    await domain.api.call(upgradeOperations.plan, { body: { archive: next.file, soakSeconds: 2, gate: openGate } });
    polls = await Promise.all(
      ['/', '/api/v1/upgrade'].map(async (path) => await pollConsole(domain.home, path, domain.token)),
    );
  });
  after(async () => {
    await Promise.all((polls ?? []).map(async (poll) => await poll.stop()));
    await domain?.stop();
  });

  /** All who ask are answered by it. */
  async function untilServedBy(name: string): Promise<void> {
    await until(`the ${name} answers`, 60_000, async () => polls.every(({ servedBy }) => servedBy.at(-1) === name));
  }

  test('is answered before, over and after the fence, and in reversal', async () => {
    await untilServedBy('administration');
    await domain.api.call(upgradeOperations.start, { body: { overrides: ['backup'] } });
    await untilServedBy('coordinator');
    await untilUpgrade(domain, ['moving', 'soaking']);
    await untilServedBy('administration');
    await domain.api.call(upgradeOperations.reverse, {});
    await untilServedBy('coordinator');
    await untilUpgrade(domain, ['reversed']);
    await untilServedBy('administration');
    for (const poll of polls) {
      const { failures, servedBy, answers } = await poll.stop();
      assert.deepEqual([...failures], []);
      assert.ok(answers > 100, String(answers));
      assert.deepEqual(
        [...servedBy].filter((by) => by !== 'administration' && by !== 'coordinator'),
        [],
      );
    }
  });
});
