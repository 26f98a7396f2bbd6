import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import type { DeviceId } from '../base/ids.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { addDevices, domain } from '../policies/fleet-fixture.ts';
import { silentLogger } from '../process/log/logger.ts';
import { commandRequest, serializeCommand } from '../protocol/apple/command.ts';
import { deliverySettingsSchema } from './delivery-settings.ts';
import { announceDeliveries, oweDeliveries } from './owe-deliveries.ts';
import { createPolicyService } from './policy-service.ts';
import { connect, db, fast, move, one, reset, startService, states, wakeClients } from './policy-service-fixture.ts';
import { waitingReasons } from './waiting-reason.ts';
import { waitForAddress } from './wake-store.ts';
import { createWaker, withinSlots } from './waker.ts';

beforeEach(reset);

test('of devices that need a slot as many are chosen as there are, of the others all', () => {
  const sleeping = [true, false, true, true, false].map((needsSlot, place) => ({ place, needsSlot }));
  const chosen = [0, 1, 2, 5].map((slots) => withinSlots(sleeping, slots).map(({ place }) => place));
  assert.deepEqual(chosen, [
    [1, 4],
    [0, 1, 4],
    [0, 1, 2, 4],
    [0, 1, 2, 3, 4],
  ]);
});

test('only slots hand out: devices that come without a free one are told nothing and are woken when there is one', async () => {
  const devices = await addDevices(db, one.id, 4);
  await oweDeliveries(db, registeredPlatforms, {
    ...move,
    deviceIds: devices.map(({ id }) => id),
    items: ['it-policy'],
  });
  const { tick, woken } = await startService({ budget: { ...fast, perInstance: 2, perDomain: 2 } });
  await tick();
  assert.equal(woken.length, 4);
  const told = [];
  for (const device of devices) told.push(await connect(device));
  assert.equal(told.filter((command) => command !== undefined).length, 2);
  await db`update device set woken_at = now() - interval '2 seconds', last_seen_at = now()`;
  await tick();
  assert.equal(woken.length, 4, 'no slot is free');
  const reasons = await waitingReasons(
    db,
    (await db<{ id: string }[]>`select id from delivery`).map(({ id }) => id),
  );
  assert.deepEqual([...reasons.values()].map(({ reason }) => reason).sort(), [
    'answer',
    'answer',
    'slots-instance',
    'slots-instance',
  ]);
  const index = told.findIndex((command) => command !== undefined);
  const [device, command] = [devices[index], told[index]];
  assert.ok(device && command);
  await connect(device, 'done', command.commandUuid);
  await tick();
  assert.equal(woken.length, 6, 'two devices for the one free slot');
});

test('a device that does not come is woken again after an interval that doubles', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { tick, woken } = await startService();
  const ago = async (queued: number, wokenAgo: number) => {
    await db`update command set queued_at = now() - make_interval(secs => ${queued})`;
    await db`update device set woken_at = now() - make_interval(secs => ${wokenAgo}), last_seen_at = now() - interval '1 day'`;
    woken.length = 0;
    await tick();
    return woken.length;
  };
  await tick();
  assert.equal(await ago(4, 4), 0);
  assert.equal(await ago(11, 11), 1);
  assert.equal(await ago(100, 40), 0, 'it was waited 60 s before the last wake');
  assert.equal(await ago(100, 51), 1);
  assert.equal(await ago(20_000, 1700), 0);
  assert.equal(await ago(20_000, 1801), 1, 'half an hour at most');
  assert.equal(await ago(20_000, -86_400), 1, 'woken by a clock that was ahead');
});

test('what a device put off is pushed for where it said something afterwards, at intervals that double from then on', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  for (let count = 0; count < 2; count++) {
    await db`insert into command (id, device_id, account_id, request_type, body, queued_at)
             values (${randomUUID()}, ${device.id}, ${device.accountId}, 'ProfileList',
                     ${serializeCommand({ commandUuid: randomUUID(), ...commandRequest.profileList() })}, now() - interval '1 day')`;
  }
  await db`update command set body = convert_to(regexp_replace(convert_from(body, 'UTF8'),
             '(<key>CommandUUID</key>\\s*<string>)[^<]*', '\\1' || id), 'UTF8')`;
  const { tick, woken } = await startService();
  const dueAfter = async (notNowAgo: number, wokenAgo: number, seenAgo: number) => {
    await db`
      with put_off as (
        update command set answered_at = now() - make_interval(secs => ${notNowAgo}) where state = 'not-now')
      update device set woken_at = now() - make_interval(secs => ${wokenAgo}),
             last_seen_at = now() - make_interval(secs => ${seenAgo})`;
    woken.length = 0;
    await tick();
    return woken.length === 1;
  };
  const first = await connect(device);
  const second = await connect(device, 'later', first?.commandUuid ?? null);
  assert.notEqual(second?.commandUuid, first?.commandUuid);
  const equalTimes = async () =>
    (
      await db`select c.answered_at = v.last_seen_at as equal from command c join device v on v.id = c.device_id
               where c.state = 'not-now'`
    )[0]?.['equal'];
  assert.equal(await equalTimes(), true, 'NotNow was the last thing that it said');
  await connect(device, 'done', second?.commandUuid ?? null);
  assert.equal(await equalTimes(), false);
  assert.equal(await dueAfter(4, 4.5, 3), false);
  assert.equal(await dueAfter(11, 11.5, 10), true, 'ten seconds after it was woken last, however old the command is');
  assert.equal(await dueAfter(50, 15, 48), false, 'it was waited 35 s before the last wake');
  assert.equal(await dueAfter(80, 41, 78), true);
  assert.equal(await dueAfter(60, 60, 60), false, 'a device that said NotNow last comes by itself');
});

test('an operator’s command wakes at once: an urgent one always, another one when the device came meanwhile', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const { tick, woken } = await startService();
  const queue = async (urgent: boolean) => {
    await db`insert into command (id, device_id, account_id, urgent, request_type, body)
             values (${randomUUID()}, ${device.id}, ${device.accountId}, ${urgent}, 'DeviceLock', 'x')`;
  };
  await queue(false);
  await tick();
  assert.equal(woken.length, 1);
  await queue(false);
  await tick();
  assert.equal(woken.length, 1, 'its wake is under way');
  await db`update device set last_seen_at = now()`;
  await tick();
  assert.equal(woken.length, 2);
  await queue(true);
  await tick();
  assert.equal(woken.length, 3);
});

test('a wake service that pauses holds up only its own devices, however many wait for it', async () => {
  const held = await addDevices(db, one.id, 300);
  const others = await addDevices(db, one.id, 5);
  for (const [devices, platform, minutesAgo] of [[held, 'agent', 10] as const, [others, 'apple', 1] as const]) {
    const ids = devices.map(({ id }) => id);
    await db`update device set platform = ${platform} where id = any(${ids}::uuid[])`;
    await db`insert into command (id, device_id, account_id, request_type, body, queued_at)
             select gen_random_uuid(), id, account_id, 'ProfileList', 'x', now() - make_interval(mins => ${minutesAgo})
               from device where id = any(${ids}::uuid[])`;
  }
  const woken: string[] = [];
  let pausedForMs = 7000;
  const service = (ofPlatform: string, pause: () => number) => ({
    pausedForMs: pause,
    wake: async () => {
      woken.push(ofPlatform);
      return { outcome: 'sent' as const };
    },
  });
  const agent = service('agent', () => pausedForMs);
  const apple = service('apple', () => 0);
  const clock = { ...systemClock, now: () => 1_000_000 };
  const look = async (clients: Iterable<[string, typeof agent]>) => {
    const waker = createWaker({
      ...{ db, instanceId: one.id, channel: 'topic', clients: new Map(clients), clock, log: silentLogger },
    });
    const wakes = await waker.wake(deliverySettingsSchema.parse({}), 0);
    await waker.idle();
    return wakes;
  };
  assert.deepEqual(await look([['agent', agent]]), { woken: 0, dueInMs: 7000 });
  const both = [
    ['agent', agent],
    ['apple', apple],
  ] satisfies [string, typeof agent][];
  assert.deepEqual(await look(both), { woken: 5, dueInMs: 7000 }, 'when the pause is over');
  assert.deepEqual(await look([['apple', apple]]), { woken: 0, dueInMs: Infinity }, 'nobody can wake the others');
  assert.deepEqual(woken, Array(5).fill('apple'));
  pausedForMs = 0;
  assert.ok((await look(both)).woken >= 100, 'as fast as the rate allows');
});

test('a dead push token is waited for', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { tick } = await startService({
    budget: fast,
    outcome: () => ({ outcome: 'address-gone', reason: 'BadDeviceToken' }),
  });
  await tick();
  const [row] = await db`select push_state from device where id = ${device.id}`;
  assert.equal(row?.['push_state'], 'wait-for-token');
  const [delivery] = await db<{ id: string }[]>`select id from delivery where device_id = ${device.id}`;
  const reasons = await waitingReasons(db, [delivery?.id ?? '', randomUUID()]);
  assert.deepEqual(
    [...reasons.values()].map(({ reason }) => reason),
    ['push-token-missing'],
  );
});

test('a dead address is noted only if it is still the device’s, and never while the account is being moved', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const [row] = await db<{ token: Buffer }[]>`select push_token as token from device where id = ${device.id}`;
  assert.ok(row);
  const note = async (token: Buffer) =>
    await waitForAddress(db, one.id, {
      deviceId: device.id as DeviceId,
      address: { token, secret: `magic-${device.id}`, channel: 'topic' },
    });
  const waits = async () => (await db`select from device where push_state = 'wait-for-token'`).length;
  assert.equal(await note(randomBytes(32)), 'not-now');
  await db`insert into account_mark (account_id, move_id, until)
    select account_id, ${randomUUID()}, now() + interval '1 minute' from device where id = ${device.id}`;
  assert.equal(await note(row.token), 'not-now');
  assert.equal(await waits(), 0);
  await db`delete from account_mark`;
  assert.equal(await note(row.token), 'noted');
  assert.equal(await waits(), 1);
});

test('an IT policy that a device refused is owed again after its time, once, and not when a newer one was sent', async () => {
  const [refusing, cured] = await addDevices(db, one.id, 2);
  assert.ok(refusing && cured);
  const { tick } = await startService({ delivery: { redeliverAfterSeconds: 600 } });
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'manual',
    budgeted: false,
    deviceIds: [refusing.id, cured.id],
    items: ['it-policy'],
  });
  await tick();
  for (const device of [refusing, cured]) await connect(device, 'failed', (await connect(device))?.commandUuid ?? null);
  assert.deepEqual(await states(), { failed: 2 });
  await tick();
  assert.deepEqual(await states(), { failed: 2 });
  await db`update delivery set settled_at = now() - interval '11 minutes'`;
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'manual',
    budgeted: false,
    deviceIds: [cured.id],
    items: ['it-policy'],
  });
  await tick();
  await tick();
  const causes = await db`select device_id, cause from delivery where state in ('owed', 'released') order by cause`;
  assert.deepEqual(
    causes.map((row) => [row['device_id'], row['cause']]),
    [
      [cured.id, 'manual'],
      [refusing.id, 'retry'],
    ],
  );
});

test('commands answered long ago are deleted, all others kept', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const add = async (state: string, days: number) => {
    await db`insert into command (id, device_id, account_id, request_type, body, state, queued_at, answered_at)
             values (${randomUUID()}, ${device.id}, ${device.accountId}, 'ProfileList', 'x', ${state},
                     now() - make_interval(days => ${days}), now() - make_interval(days => ${days}))`;
  };
  for (const state of ['acknowledged', 'error', 'cancelled', 'queued', 'sent', 'not-now']) {
    await add(state, 8);
    await add(state, 6);
  }
  const { tick } = await startService();
  await tick();
  const [row] = await db`select count(*)::int as count from command`;
  assert.equal(row?.['count'], 9);
});

test('the service turns by itself when deliveries are announced, and stops with its signal', async (t) => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const listening = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<string>();
  const nowMs = Date.now();
  const service = createPolicyService({
    db,
    instance: one,
    release: '1.0.0',
    domain,
    identityRenewal: { isActive: async () => false, orders: async () => new Map() },
    platforms: registeredPlatforms,
    wakeClients: wakeClients({
      pausedForMs: () => 0,
      wake: async (address) => {
        woken.resolve(address.secret);
        return { outcome: 'sent' };
      },
    }),
    clock: {
      // It stands: a look that took time puts the next one off, and nothing but the announcement would bring one.
      now: () => nowMs,
      // Between two turns it would sleep for ever: only the announcement wakes it.
      sleep: (_, signal) => {
        listening.resolve();
        return new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        });
      },
    },
    log: silentLogger,
  });
  const running = service.run(stop.signal);
  await listening.promise;
  await db.begin(async (tx) => {
    await oweDeliveries(tx, registeredPlatforms, { cause: 'manual', budgeted: false, deviceIds: [device.id] });
    await announceDeliveries(tx);
  });
  assert.equal(await woken.promise, `magic-${device.id}`);
  stop.abort();
  await running;
  assert.equal(service.counts().failedSteps, 0);
});

test('a suspended enrolment is woken whatever waits for it: at once, after an hour, ever more seldom, and daily', async () => {
  const [device, other] = await addDevices(db, one.id, 2);
  assert.ok(device && other);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id, other.id], items: ['it-policy'] });
  const { tick, woken } = await startService();
  await tick();
  assert.equal(woken.length, 2);
  await db`update device set state = 'authenticated' where id = ${other.id}`;
  /** How often it is woken in three turns, so many minutes after it was suspended and after it was woken. */
  const wokenAt = async (suspended: number, wake: number) => {
    await db`
      update device set state = 'authenticated', suspended_at = now() - make_interval(mins => ${suspended}),
             woken_at = now() - make_interval(mins => ${wake}) where id = ${device.id}`;
    woken.length = 0;
    for (let turn = 0; turn < 3; turn++) await tick();
    return woken.length;
  };
  assert.equal(await wokenAt(0, 60), 1, 'before it was suspended: at once');
  assert.deepEqual([await wokenAt(59, 59), await wokenAt(61, 61)], [0, 1]);
  assert.deepEqual(
    [await wokenAt(10 * 60, 4 * 60), await wokenAt(10 * 60, 6 * 60)],
    [0, 1],
    'when the time has doubled',
  );
  assert.deepEqual([await wokenAt(20 * 1440, 1439), await wokenAt(20 * 1440, 1441)], [0, 1], 'daily');
});
