import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { budgetSchema } from '../api/budget.ts';
import { systemClock } from '../base/clock.ts';
import { addDevices, addInstance, openFleet } from '../policies/fleet-fixture.ts';
import { deliverySettingsSchema } from './delivery-settings.ts';
import { createRenewalTurns } from './renewal-turns.ts';

const fleet = await openFleet();
after(() => fleet.close());
const { db } = fleet;
const one = await addInstance(db, 1);
const paces = { budget: budgetSchema.parse({ perInstance: 8 }), delivery: deliverySettingsSchema.parse({}) };

test('renewals begin as their share allows, and the rest is looked at again after 5 s, or after 15 s without any', async () => {
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  let isActive = false;
  const turns = createRenewalTurns({ db, instanceId: one.id, isActive: async () => isActive, clock });
  await addDevices(db, one.id, 3);
  await db`
    update device set identity_issued_at = now() - interval '350 days', identity_expires_at = now() + interval '15 days'`;
  /** What the look after so many ms begins, and when what it held back is due. */
  const nextLook = async (afterMs: number) => {
    clock.time += afterMs - 1;
    assert.equal(turns.isDue(), false);
    clock.time += 1;
    assert.ok(turns.isDue());
    return [await turns.begin(paces), turns.dueInMs()];
  };
  assert.ok(turns.isDue());
  assert.deepEqual([await turns.begin(paces), turns.dueInMs()], [0, Infinity], 'not supported by all');
  isActive = true;
  assert.deepEqual(await nextLook(15_000), [2, 5000], 'a quarter of eight slots');
  assert.deepEqual(await nextLook(5000), [0, 5000], 'no slot is left of it');
  await db`update delivery set state = 'done', settled_at = now()`;
  await db`
    update device v set identity_issued_at = now(), identity_expires_at = now() + interval '365 days'
     where exists (select from delivery d where d.device_id = v.id)`;
  assert.deepEqual(await nextLook(5000), [1, Infinity]);
  await db`update device set identity_issued_at = now(), identity_expires_at = now() + interval '365 days'`;
  assert.deepEqual(await nextLook(5000), [0, Infinity]);
  assert.deepEqual(await nextLook(15_000), [0, Infinity]);
});

test('a look that fails is not repeated before its time, and holds nothing back', async () => {
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  const failure = new Error('no database');
  const turns = createRenewalTurns({ db, instanceId: one.id, isActive: () => Promise.reject(failure), clock });
  await assert.rejects(turns.begin(paces), failure);
  assert.deepEqual([turns.isDue(), turns.dueInMs()], [false, Infinity]);
  clock.time += 5000;
  assert.ok(turns.isDue());
});
