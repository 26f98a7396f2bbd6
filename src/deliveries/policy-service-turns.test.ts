/** When the policy service takes its next turn: the pauses between turns, and what brings one forward. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import { writeSetting } from '../domain/settings.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { addDevices } from '../policies/fleet-fixture.ts';
import { oweDeliveries } from './owe-deliveries.ts';
import { connect, db, drain, fast, move, one, reset, startService, states } from './policy-service-fixture.ts';

beforeEach(reset);

/** The first three pauses of a service that has one delivery to send; `meanwhile` is called in each, from 1 on. */
async function pausesWithDelivery(meanwhile: (device: Device, pause: number) => Promise<unknown>): Promise<number[]> {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { service, clock } = await startService({ budget: fast });
  const pauses: number[] = [];
  const ending = new AbortController();
  clock.sleep = async (durationMs) => {
    pauses.push(durationMs);
    await meanwhile(device, pauses.length);
    if (pauses.length === 3) ending.abort();
  };
  await service.run(ending.signal);
  return pauses;
}
type Device = Awaited<ReturnType<typeof addDevices>>[number];

test('a turn follows within a second while a device has taken something and not answered', async () => {
  const pauses = await pausesWithDelivery(async (device, pause) => {
    if (pause === 1) await connect(device, 'idle');
  });
  assert.deepEqual(pauses, [200, 1000, 1000]);
});

test('a turn follows soon while something is to be sent, and rarely while nothing is', async () => {
  // The second turn finds the delivery released, and the third finds it answered.
  const pauses = await pausesWithDelivery(async (device, pause) => {
    if (pause === 2) await drain(device);
  });
  assert.deepEqual(pauses, [200, 200, 10_000], 'nobody has said that its wake was not lost');
});

test('however much others owe, looking for what is owed takes a tenth of the time', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  let looks = 0;
  const { restsOf } = await startService({
    budget: fast,
    // It is owed, and never ripe: every turn would look for it.
    delivery: { afterMoveSeconds: 3600, afterMoveAtMostSeconds: 3600 },
    takesMs: (sql) => {
      if (!sql.includes('as version')) return 0;
      looks += 1;
      return 100;
    },
  });
  // What is held back and what is not, at the first and at the sixth turn.
  assert.deepEqual(
    await restsOf(6, async () => {}),
    Array.from({ length: 6 }, () => 200),
  );
  assert.equal(looks, 4);
});

describe('a turn that a notice brings forward rests no longer than until', { timeout: 120_000 }, () => {
  const queueUrgent = async (devices: readonly { id: string; accountId: string }[]) => {
    for (const { id, accountId } of devices) {
      await db`insert into command (id, device_id, account_id, urgent, request_type, body)
               values (${randomUUID()}, ${id}, ${accountId}, true, 'DeviceLock', 'x')`;
    }
  };

  test('who sleeps may be looked at again', async () => {
    const devices = await addDevices(db, one.id, 1);
    const { restsOf, woken } = await startService({ takesMs: (sql) => (sql.includes(' as secret') ? 30 : 0) });
    assert.deepEqual(await restsOf(3, () => queueUrgent(devices)), [15_000, 270, 200]);
    assert.equal(woken.length, 1);
  });

  test('the next wake is allowed', async () => {
    const devices = await addDevices(db, one.id, 3);
    const { restsOf, woken } = await startService({ delivery: { wakesPerSecond: 1 } });
    assert.deepEqual(await restsOf(4, () => queueUrgent(devices)), [15_000, 200, 1000, 200]);
    assert.equal(woken.length, 3);
  });

  test('the push service may be used again', async () => {
    const devices = await addDevices(db, one.id, 1);
    const pauses = [0, 700];
    const { restsOf, woken } = await startService({ pausedForMs: () => pauses.shift() ?? 0 });
    assert.deepEqual(await restsOf(3, () => queueUrgent(devices)), [15_000, 700, 200]);
    assert.equal(woken.length, 1);
  });

  test('a woken device is due for another wake', async () => {
    const devices = await addDevices(db, one.id, 1);
    const { restsOf } = await startService();
    assert.deepEqual(await restsOf(4, () => queueUrgent(devices)), [15_000, 200, 9800, 15_000]);
  });

  test('what is owed since the last count is looked for, though others have so much open that it may not be counted yet', async () => {
    const [device] = await addDevices(db, one.id, 1);
    assert.ok(device);
    let counts = 0;
    const { restsOf } = await startService({
      budget: fast,
      takesMs: (sql) => {
        if (!sql.includes('as unripe')) return 0;
        counts += 1;
        return 100;
      },
    });
    const owe = () => oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
    assert.deepEqual(await restsOf(2, owe), [15_000, 200]);
    assert.deepEqual([await states(), counts], [{ released: 1 }, 1]);
  });

  test('what is not due yet, and was not counted, may be', async () => {
    const [device] = await addDevices(db, one.id, 1);
    assert.ok(device);
    const { restsOf } = await startService({ budget: fast, takesMs: (sql) => (sql.includes('as unripe') ? 100 : 0) });
    const owe = async () => {
      await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
      await writeSetting(db, 'delivery', { afterMoveSeconds: 3600, afterMoveAtMostSeconds: 3600 });
    };
    // It is looked for, then counted.
    assert.deepEqual(await restsOf(4, owe), [15_000, 1000, 900, 200]);
    assert.deepEqual(await states(), { owed: 1 });
  });

  test('an account that was locked may be served', async () => {
    const [device] = await addDevices(db, one.id, 1);
    assert.ok(device);
    const { restsOf } = await startService();
    const [locked, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let locking: Promise<unknown> | undefined;
    const rests = await restsOf(2, async () => {
      await oweDeliveries(db, registeredPlatforms, {
        cause: 'manual',
        budgeted: false,
        deviceIds: [device.id],
        items: ['it-policy'],
      });
      locking = db.begin(async (tx) => {
        await tx`select from account where id = ${device.accountId} for no key update`;
        locked.resolve();
        await over.promise;
      });
      await locked.promise;
    }).finally(() => over.resolve());
    await locking;
    assert.deepEqual(rests, [15_000, 1000]);
  });

  test('a step that failed is tried again', async () => {
    const [device] = await addDevices(db, one.id, 1);
    assert.ok(device);
    let failures = 1;
    const { restsOf, service } = await startService({
      takesMs: (sql) => {
        if (!sql.includes(' as secret') || failures-- > 0) return 0;
        throw new Error('the database went away');
      },
    });
    assert.deepEqual(await restsOf(2, async () => {}), [15_000, 1000]);
    assert.equal(service.counts().failedSteps, 1);
  });
});
