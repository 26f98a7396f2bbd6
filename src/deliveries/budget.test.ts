import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { budgetSchema } from '../api/budget.ts';
import type { CommandId, InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice } from '../devices/device-fixture.ts';
import { addInstance, openFleet, type TestInstance } from '../policies/fleet-fixture.ts';
import { applyBudget, readBudget, silentPatience, writeBudget } from './budget.ts';
import { collectStrayPermits, readPermitUse } from './permits.ts';
import { markSuspects, takeBackSilent } from './suspects.ts';
import { availableTokens, type Bucket, burstOf, refill, takeTokens } from './token-bucket.ts';

const fleet = await openFleet();
const db: Database = fleet.db;
after(() => fleet.close());
let one: TestInstance;
let two: TestInstance;
let number = 0;
beforeEach(async () => {
  await db`truncate delivery_permit, send_rate, device, account, delivery, setting cascade`;
  one = await addInstance(db, number++ % 10).catch(() => one);
  two = await addInstance(db, number++ % 10).catch(() => two);
});

async function apply(budget: object, instances: readonly TestInstance[] = [one, two]): Promise<void> {
  const parsed = budgetSchema.parse(budget);
  await db.begin(async (tx) => {
    await applyBudget(
      tx,
      parsed,
      instances.map(({ id }) => id),
    );
  });
}

const devices = new Map<string, DeviceFixture>();
const devicesOf = (ids: readonly string[]) => ids.flatMap((id) => devices.get(id) ?? []);

/** Released budgeted deliveries of one device each. */
async function addReleased(instanceId: InstanceId, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const device = await seedDevice(db, instanceId, `b${devices.size}`);
    const { deliveryId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
    assert.ok(deliveryId);
    devices.set(deliveryId, device);
    ids.push(deliveryId);
  }
  return ids;
}

const requestOf = ({ token, fingerprint, enrolment }: DeviceFixture) => ({
  ...{ token, fingerprint, enrolment, overTls: true, inventory: null, options: null },
});

/** Their devices connect, all at once. @returns what was handed to them */
async function handOut(instanceId: InstanceId, ids: readonly string[]): Promise<string[]> {
  const requests = devicesOf(ids).map((device) => ({
    ...requestOf(device),
    ...({ status: 'idle', commandId: null, answer: null } as const),
  }));
  const outcomes = await connectDevices(db, instanceId, requests);
  return ids.filter((_, index) => {
    const outcome = outcomes[index];
    return outcome?.kind === 'served' && outcome.command !== null;
  });
}

/** Their devices answer what they were handed. */
async function settle(instanceId: InstanceId, ids: readonly string[]): Promise<void> {
  const commands = await db<{ deliveryId: string; id: CommandId }[]>`
    select delivery_id as "deliveryId", id from command where delivery_id = any(${ids as string[]}::uuid[])`;
  const requests = commands.flatMap(({ deliveryId, id }) =>
    devicesOf([deliveryId]).map((device) => ({
      ...requestOf(device),
      ...({ status: 'done', commandId: id, answer: {} } as const),
    })),
  );
  await connectDevices(db, instanceId, requests);
}

async function taken(): Promise<Record<string, number>> {
  return Object.fromEntries((await readPermitUse(db)).map(({ scope, taken }) => [scope, taken]));
}

test('as many deliveries are granted as the instance and the domain have slots, in the given order', async () => {
  await apply({ perInstance: 3, perDomain: 4 });
  const ofOne = await addReleased(one.id, 5);
  const ofTwo = await addReleased(two.id, 5);
  assert.deepEqual(await handOut(one.id, ofOne), ofOne.slice(0, 3));
  assert.deepEqual(await handOut(two.id, ofTwo), ofTwo.slice(0, 1));
  assert.deepEqual(await taken(), { [one.id]: 3, [two.id]: 1, domain: 4, suspects: 0 });
  await settle(one.id, ofOne.slice(0, 2));
  assert.deepEqual(await handOut(two.id, ofTwo.slice(1)), ofTwo.slice(1, 3));
  assert.deepEqual(await taken(), { [one.id]: 1, [two.id]: 3, domain: 4, suspects: 0 });
});

test('a delivery that is handed out again needs no further permit', async () => {
  await apply({ perInstance: 1, perDomain: 1 });
  const [first, second] = await addReleased(one.id, 2);
  assert.ok(first && second);
  assert.deepEqual(await handOut(one.id, [first]), [first]);
  assert.deepEqual(await handOut(one.id, [second, first]), [first]);
  assert.deepEqual(await taken(), { [one.id]: 1, [two.id]: 0, domain: 1, suspects: 0 });
});

test('without an applied budget nothing is granted', async () => {
  assert.deepEqual(await handOut(one.id, await addReleased(one.id, 2)), []);
});

test('silent deliveries become suspects as far as the cap allows, and their slots are free again', async () => {
  await apply({ perInstance: 4, perDomain: 4, suspects: 2 });
  const ids = await addReleased(one.id, 6);
  await handOut(one.id, ids);
  assert.deepEqual(await markSuspects(db, one.id, 60), []);
  await db`update delivery set handed_out_at = now() - interval '2 minutes' where id = any(${ids.slice(0, 3)}::uuid[])`;
  assert.deepEqual(await markSuspects(db, two.id, 60), [], 'another instance’s accounts are not its business');
  assert.equal((await markSuspects(db, one.id, 60)).length, 2);
  assert.deepEqual(await taken(), { [one.id]: 2, [two.id]: 0, domain: 2, suspects: 2 });
  assert.deepEqual(await markSuspects(db, one.id, 60), [], 'the cap is reached; the third keeps its slots');
  assert.equal((await handOut(one.id, ids.slice(4))).length, 2);
  const [suspect] = await db<{ id: string }[]>`select id from delivery where state = 'suspect'`;
  assert.ok(suspect);
  assert.deepEqual(await handOut(one.id, [suspect.id]), [suspect.id], 'a suspect that comes back is served');
  await settle(one.id, [suspect.id]);
  assert.deepEqual(await taken(), { [one.id]: 4, [two.id]: 0, domain: 4, suspects: 1 });
});

test('an account with a mover’s mark is left alone', async () => {
  await apply({});
  const ids = await addReleased(one.id, 1);
  await handOut(one.id, ids);
  await db`update delivery set handed_out_at = now() - interval '2 minutes'`;
  await db`insert into account_mark (account_id, move_id, until) select id, ${randomUUID()}, now() + interval '1 minute' from account`;
  assert.deepEqual(await markSuspects(db, one.id, 60), []);
  await db`delete from account_mark`;
  assert.deepEqual(await markSuspects(db, one.id, 60), ids);
});

test('an account whose owner is being changed keeps what it has until that is done', async () => {
  await apply({ suspects: 1 });
  const [first, second] = await addReleased(one.id, 2);
  assert.ok(first && second);
  await handOut(one.id, [first, second]);
  await db`update delivery set handed_out_at = now() - make_interval(secs => ${60 * (silentPatience + 1)})`;
  await db.begin(async (tx) => {
    await tx`update account set instance_id = ${two.id}, epoch = epoch + 1`;
    assert.deepEqual(await markSuspects(db, one.id, 60), []);
    await db`update delivery_permit set delivery_id = ${randomUUID()} where scope = 'suspects'`;
    assert.deepEqual(await takeBackSilent(db, one.id, 60), []);
    await tx`update account set instance_id = ${one.id}`;
  });
  assert.equal((await takeBackSilent(db, one.id, 60)).length, 2);
  await db`update delivery_permit set delivery_id = null where scope = 'suspects'`;
  await db`update delivery set state = 'handed-out'`;
  assert.equal((await markSuspects(db, one.id, 60)).length, 1);
});

test('permits of deliveries that are settled or gone are collected, all others are left', async () => {
  await apply({ perInstance: 5, perDomain: 5 });
  const ids = await addReleased(one.id, 3);
  await handOut(one.id, ids);
  const [kept, settled, deleted] = ids;
  assert.ok(kept && settled && deleted);
  await db`update delivery set state = 'done' where id = ${settled}`;
  await db`delete from delivery where id = ${deleted}`;
  await db`update delivery_permit set taken_at = now() - interval '30 days' where delivery_id is not null`;
  assert.equal(await collectStrayPermits(db), 4);
  assert.deepEqual(await taken(), { [one.id]: 1, [two.id]: 0, domain: 1, suspects: 0 });
  assert.equal(await collectStrayPermits(db), 0);
});

test('a stray permit is not taken for the right to be handed out', async () => {
  await apply({ perInstance: 1, perDomain: 1, suspects: 1 });
  const [first, second] = await addReleased(one.id, 2);
  assert.ok(first && second);
  await db`update delivery_permit set delivery_id = ${first} where scope = 'suspects'`;
  await handOut(one.id, [second]);
  assert.deepEqual(await handOut(one.id, [first]), []);
});

test('raising the budget adds slots; lowering it lets what is out come back and grants no surplus one again', async () => {
  await apply({ perInstance: 4, perDomain: 4 }, [one]);
  const ids = await addReleased(one.id, 8);
  const out = await handOut(one.id, ids.slice(0, 4));
  await apply({ perInstance: 2, perDomain: 2 }, [one]);
  const sizes = async () =>
    Object.fromEntries((await readPermitUse(db)).map(({ scope, size, taken }) => [scope, [size, taken]]));
  assert.deepEqual((await sizes())[one.id], [2, 4]);
  assert.deepEqual(await handOut(one.id, ids.slice(4)), []);
  await settle(one.id, out);
  assert.equal(await collectStrayPermits(db), 4);
  assert.deepEqual((await sizes())[one.id], [2, 0]);
  assert.equal((await handOut(one.id, ids.slice(4))).length, 2);
  await apply({ perInstance: 3, perDomain: 3 }, [one]);
  assert.deepEqual((await sizes())[one.id], [3, 2]);
  await apply({ perInstance: 1, perDomain: 1 }, [one]);
  await apply({ perInstance: 2, perDomain: 2 }, [one]);
  assert.deepEqual((await sizes())[one.id], [2, 2], 'surplus slots are taken back in');
});

test('the budget is stored with what was left out filled in, and applied by several at once', async () => {
  assert.equal((await readBudget(db)).perInstance, 30);
  const budget = budgetSchema.parse({ perInstance: 7 });
  await Promise.all([
    db.begin(async (tx) => await writeBudget(tx, budget, [one.id, two.id])),
    db.begin(async (tx) => await writeBudget(tx, budget, [two.id, one.id])),
    apply(budget, [one]),
  ]);
  assert.deepEqual(await readBudget(db), { ...budget, perDomain: 60, suspects: 20 });
  assert.deepEqual(
    (await readPermitUse(db)).map(({ size }) => size).sort((a, b) => a - b),
    [7, 7, 20, 60],
  );
  const [rate] = await db`select per_minute, tokens from send_rate where scope = 'domain'`;
  assert.deepEqual([rate?.['per_minute'], rate?.['tokens']], [300, 6]);
});

test('a bucket never yields more than rate × time + burst, and after an hour’s pause no more than a second’s worth', () => {
  const action = fc.record({ waitMs: fc.integer({ min: -500, max: 20_000 }), want: fc.nat(50) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6000 }), fc.array(action, { maxLength: 100 }), (perMinute, actions) => {
      let bucket: Bucket = { perMinute, tokens: burstOf(perMinute), refilledAtSeconds: 1_000_000 };
      let now = 1_000_000;
      let latest = now;
      let total = 0;
      for (const { waitMs, want } of actions) {
        now += waitMs / 1000;
        latest = Math.max(latest, now);
        bucket = refill(bucket, now);
        const count = Math.min(want, availableTokens(bucket));
        assert.ok(count <= burstOf(perMinute) + 1e-6);
        bucket = takeTokens(bucket, count);
        total += count;
        assert.ok(total <= ((latest - 1_000_000) * perMinute) / 60 + burstOf(perMinute) + 1e-6);
      }
      assert.ok(availableTokens(refill(bucket, now + 3600)) <= burstOf(perMinute));
    }),
  );
});

test('a bucket that a clock filled in the future is filled from when the clock is right', () => {
  const [right, ahead] = [1_000_000, 1_000_000 + 86_400 * 365];
  let bucket = refill({ perMinute: 60, tokens: 0, refilledAtSeconds: right }, ahead);
  bucket = takeTokens(bucket, availableTokens(bucket));
  bucket = refill(bucket, right);
  assert.equal(availableTokens(bucket), 0, 'nothing for the time that never was');
  assert.equal(availableTokens(refill(bucket, right + 1)), 1);
});

test('a bucket that is asked at least once a second yields its whole rate', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 20, max: 1000 }), (perMinute, everyMs) => {
      let bucket: Bucket = { perMinute, tokens: 0, refilledAtSeconds: 0 };
      let total = 0;
      let ms = 0;
      while (ms < 120_000) {
        ms += everyMs;
        bucket = refill(bucket, ms / 1000);
        const count = availableTokens(bucket);
        bucket = takeTokens(bucket, count);
        total += count;
      }
      const due = (perMinute * ms) / 60_000;
      assert.ok(total <= due + 1e-6 && total > due - 1 - 1e-6, `${total} of ${due}`);
    }),
  );
});

test('more tokens than there are cannot be taken', () => {
  assert.throws(() => takeTokens({ perMinute: 60, tokens: 0.9, refilledAtSeconds: 0 }, 1), RangeError);
});
