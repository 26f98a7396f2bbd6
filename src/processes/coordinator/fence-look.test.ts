import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrambleError } from '../../base/errors.ts';
import { tellConditions } from '../../notices/conditions.ts';
import { inTime, until } from '../../testing/condition.ts';
import { scene } from '../../upgrade/steps/scene-fixture.ts';
import { runSteps } from './coordinator.ts';
import { fenceLook } from './fence-look.ts';

test('a fence is blocked from the step that failed on it to the next that succeeded', async () => {
  const fence = fenceLook('1.4.0');
  assert.equal(await fence.look.look(), null, 'before the first step nothing is known');
  const details = { holders: ['bramble/administration/admin-1@far#7'] };
  fence.stepped(new BrambleError('ERR_RELEASE_FENCE_BLOCKED', 'blocked', { details }));
  const found = await fence.look.look();
  assert.match(
    found?.[0]?.message ?? '',
    /upgrade to 1\.4\.0 cannot go on: .* by bramble\/administration\/admin-1@far#7,/,
  );
  fence.stepped(new Error('the database is away'));
  assert.deepEqual(await fence.look.look(), found);
  fence.stepped(undefined);
  assert.deepEqual(await fence.look.look(), []);
});

test('a coordinator whose step meets a blocked fence has it told, and that it is over after a step that succeeds', async () => {
  const it = await scene();
  const fence = fenceLook('1.1.0');
  const blocked = { now: true };
  const { effects } = it.context('one');
  const details = { holders: ['psql'] };
  const context = it.context('one', {
    effects: {
      ...effects,
      check: async (upgrade, begins) => {
        if (blocked.now) throw new BrambleError('ERR_RELEASE_FENCE_BLOCKED', 'blocked', { details });
        return await effects.check(upgrade, begins);
      },
    },
  });
  const stop = new AbortController();
  const log = { info: () => {}, warn: () => {} };
  const running = runSteps({ ...context, log, signal: stop.signal, intervalMs: 10, stepped: fence.stepped });
  const look = () => tellConditions(it.db, [fence.look], (_look, error) => assert.fail(String(error)));
  const told = async () =>
    (await it.db`select kind from event where kind like 'fence-%' order by id`).map((row) => row['kind']);
  const untilTold = async (...kinds: string[]) =>
    await until(kinds.join(), 60_000, async () => {
      await look();
      return (await told()).join() === kinds.join();
    });
  try {
    await untilTold('fence-blocked');
    await look();
    blocked.now = false;
    await untilTold('fence-blocked', 'fence-passed');
  } finally {
    stop.abort();
    await inTime('the coordinator ends', 60_000, running);
  }
});
