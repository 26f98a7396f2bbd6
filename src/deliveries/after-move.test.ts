import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { addDevices } from '../policies/fleet-fixture.ts';
import type { PaceAfterMove } from './after-move.ts';
import { oweDeliveries } from './owe-deliveries.ts';
import { db, move, one, reset } from './policy-service-fixture.ts';
import { listOwed } from './release-store.ts';
import { countOpenDeliveries } from './situation.ts';

beforeEach(reset);
const pace: PaceAfterMove = { afterMoveSeconds: 10, afterMoveAtMostSeconds: 110 };

/** Devices that are released to `seconds` after their accounts moved. */
async function ripeAfter(seconds: number): Promise<number> {
  await db`update delivery set owed_at = now() - make_interval(secs => ${seconds})`;
  return new Set((await listOwed(db, one.id, true, 1000, pace)).map(({ deviceId }) => deviceId)).size;
}

test('what a move owes waits for a moment of its account, and these are spread evenly', async () => {
  const devices = await addDevices(db, one.id, 200);
  await oweDeliveries(db, registeredPlatforms, { ...move, accountIds: devices.map(({ accountId }) => accountId) });
  assert.equal(await ripeAfter(9), 0);
  const { owed, unripe } = await countOpenDeliveries(db, one.id, pace);
  assert.equal(owed, unripe, 'it is owed all the same');
  const half = await ripeAfter(60);
  assert.ok(half > 60 && half < 140, `${half} of 200 in half of the time`);
  assert.equal(await ripeAfter(111), 200);
  assert.equal(await ripeAfter(-86_400), 200, 'owed by a clock that was ahead');
  assert.equal((await countOpenDeliveries(db, one.id, pace)).unripe, 0);
});

test('what is owed for another reason does not wait', async () => {
  const [device] = await addDevices(db, one.id, 1);
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'policy-change',
    budgeted: true,
    accountIds: [device?.accountId ?? ''],
  });
  assert.equal(await ripeAfter(0), 1);
});
