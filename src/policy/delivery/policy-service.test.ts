import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import type { CommandId, InstanceId } from '../../base/ids.ts';
import { type ConnectRequest, connectDevices } from '../../devices/connect-statement.ts';
import { writeSetting } from '../../domain/settings.ts';
import { silentLogger } from '../../process/logger.ts';
import type { PushOutcome } from '../../protocol/apns/push.ts';
import { parseCommand } from '../../protocol/apple/command.ts';
import { parseProfile } from '../../protocol/apple/profile.ts';
import { findPolicy, replacePolicyRules } from '../policy-store.ts';
import type { PushTarget } from '../push.ts';
import { putService } from '../service-store.ts';
import { addAccount, addDevice, addDevices, addInstance, domain, openFleet, type TestDevice } from '../test-fleet.ts';
import { budgetSchema, writeBudget } from './budget.ts';
import { announceDeliveries, oweDeliveries } from './owe-deliveries.ts';
import { readPermitUse } from './permits.ts';
import { createPolicyService } from './policy-service.ts';
import { listOwed, releaseBudgeted } from './release-store.ts';
import { waitingReasons } from './waiting-reason.ts';

const fleet = await openFleet();
const { db } = fleet;
after(() => fleet.close());
const one = await addInstance(db, 1);
const two = await addInstance(db, 2);
const defaultRules = (await findPolicy(db, 'Default'))?.rules ?? {};

beforeEach(async () => {
  await db`truncate account, delivery_permit, send_rate, delivery_hold, setting, service, event cascade`;
  await replacePolicyRules(db, 'Default', defaultRules);
});

/** A policy service whose chores are all due at every turn, over a push service that notes whom it wakes. */
async function startService(
  options: {
    budget?: object;
    delivery?: object;
    instance?: typeof one;
    outcome?: (target: PushTarget) => PushOutcome;
  } = {},
) {
  const budget = budgetSchema.parse(options.budget ?? {});
  await db.begin(async (tx) => await writeBudget(tx, budget, [one.id, two.id]));
  await writeSetting(db, 'delivery', options.delivery ?? {});
  const woken: string[] = [];
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  const service = createPolicyService({
    db,
    instance: options.instance ?? one,
    release: '1.0.0',
    domain,
    push: {
      pausedForMs: () => 0,
      push: async (target) => {
        woken.push(target.pushMagic);
        return options.outcome?.(target) ?? { outcome: 'sent' };
      },
    },
    clock,
    log: silentLogger,
  });
  return {
    woken,
    service,
    async tick() {
      clock.time += 3_600_000;
      await service.tick();
      await service.pushed();
      assert.equal(service.counts().failedSteps, 0);
    },
  };
}

async function connect(
  device: TestDevice,
  status: ConnectRequest['status'] = 'Idle',
  commandId: string | null = null,
  instance = one,
) {
  const [row] = await db<
    { fingerprint: string }[]
  >`select identity_fingerprint as fingerprint from device where id = ${device.id}`;
  const [outcome] = await connectDevices(db, instance.id as InstanceId, [
    {
      token: device.token,
      fingerprint: row?.fingerprint ?? '',
      status,
      commandId: commandId as CommandId | null,
      answer: null,
      inventory: null,
      options: null,
    },
  ]);
  assert.equal(outcome?.kind, 'served');
  return outcome.kind === 'served' && outcome.command ? parseCommand(outcome.command) : undefined;
}

/** Connects and acknowledges until the device is told nothing more; returns what it was told. */
async function drain(device: TestDevice) {
  const told = [];
  let command = await connect(device);
  while (command) {
    told.push(command);
    command = await connect(device, 'Acknowledged', command.commandUuid);
  }
  return told;
}

async function states(): Promise<Record<string, number>> {
  const rows = await db<
    { state: string; count: number }[]
  >`select state, count(*)::int as count from delivery group by state`;
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

async function fillBuckets(): Promise<void> {
  await db`update send_rate set tokens = 1000, refilled_at = now() + interval '1 hour'`;
}

const move = { cause: 'move', budgeted: true } as const;

test('a device is released to, woken, handed its policy, books and synchronization in this order, and is done', async () => {
  await putService(db, '[CICAL]', { host: 'dav.example.com' });
  const accountId = await addAccount(db, one.id, 'anna');
  const device = await addDevice(db, accountId);
  await oweDeliveries(db, { ...move, accountIds: [accountId] });
  const { tick, woken } = await startService({ budget: { perMinuteInstance: 6000, perMinuteDomain: 6000 } });
  await tick();
  assert.deepEqual(woken, [`magic-${device.id}`]);
  assert.deepEqual(await states(), { released: 3 });
  const told = await drain(device);
  assert.deepEqual(
    told.map(({ requestType }) => requestType),
    ['InstallProfile', 'InstallProfile', 'DeviceInformation'],
  );
  const profiles = told.slice(0, 2).map(({ fields }) => parseProfile(fields['Payload'] as Uint8Array));
  assert.deepEqual(
    profiles.map(({ identifier }) => identifier),
    [`bramble.${domain.domainId}.it-policy`, `bramble.${domain.domainId}.service-books`],
  );
  assert.equal(profiles[1]?.payloads[0]?.displayName, `[CICAL]-${one.srpIdentifier}`);
  assert.deepEqual(await states(), { done: 3 });
  assert.ok((await readPermitUse(db)).every(({ taken }) => taken === 0));
  const [row] = await db`
    select d.revision = v.applied_policy_revision as same, d.compiled_by, d.instance_id
      from delivery d join device v on v.id = d.device_id where d.item = 'it-policy'`;
  assert.deepEqual({ ...row }, { same: true, compiled_by: '1.0.0', instance_id: one.id });
});

test('budgeted deliveries are released only as the rates allow, unbudgeted ones all at once', async () => {
  const devices = await addDevices(db, one.id, 30);
  const ids = devices.map(({ id }) => id);
  await oweDeliveries(db, { ...move, deviceIds: ids, items: ['it-policy'] });
  await oweDeliveries(db, { cause: 'manual', budgeted: false, deviceIds: ids, items: ['synchronization'] });
  const { tick } = await startService({ budget: { perMinuteInstance: 120, perMinuteDomain: 60 } });
  await tick();
  const released =
    await db`select budgeted, count(*)::int as count from delivery where state = 'released' group by budgeted order by 1`;
  assert.deepEqual(
    released.map((row) => [row['budgeted'], row['count']]),
    [
      [false, 30],
      [true, 2],
    ],
  );
  const [hold] = await db`select reason, waiting from delivery_hold where instance_id = ${one.id}`;
  assert.equal(hold?.['reason'], 'rate-domain');
});

test('no more devices are released to than there are slots for; those that sleep hold nobody up', async () => {
  await oweDeliveries(db, {
    ...move,
    deviceIds: (await addDevices(db, one.id, 20)).map(({ id }) => id),
    items: ['it-policy'],
  });
  const { tick } = await startService({ budget: { perInstance: 3, perDomain: 5 } });
  await fillBuckets();
  await tick();
  assert.deepEqual(await states(), { owed: 14, released: 6 });
  await tick();
  assert.deepEqual(await states(), { owed: 14, released: 6 });
  assert.equal((await db`select reason from delivery_hold`)[0]?.['reason'], 'slots-instance');
  await db`update delivery set released_at = now() - interval '1 hour' where state = 'released'`;
  await tick();
  assert.deepEqual(await states(), { owed: 8, released: 12 });
});

test('only slots hand out: devices that come without a free one are told nothing and are woken when there is one', async () => {
  const devices = await addDevices(db, one.id, 4);
  await oweDeliveries(db, { ...move, deviceIds: devices.map(({ id }) => id), items: ['it-policy'] });
  const { tick, woken } = await startService({ budget: { perInstance: 2, perDomain: 2 } });
  await fillBuckets();
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
  await connect(device, 'Acknowledged', command.commandUuid);
  await tick();
  assert.equal(woken.length, 6, 'two devices for the one free slot');
});

test('a device that does not come is woken again after an interval that doubles', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { tick, woken } = await startService();
  const ago = async (queued: number, wokenAgo: number) => {
    await db`update command set queued_at = now() - make_interval(secs => ${queued})`;
    await db`update device set woken_at = now() - make_interval(secs => ${wokenAgo}), last_seen_at = now() - interval '1 day'`;
    woken.length = 0;
    await tick();
    return woken.length;
  };
  await tick();
  assert.equal(await ago(9, 9), 0);
  assert.equal(await ago(11, 11), 1);
  assert.equal(await ago(100, 40), 0, 'it was waited 60 s before the last wake');
  assert.equal(await ago(100, 50), 1);
  assert.equal(await ago(20_000, 1700), 0);
  assert.equal(await ago(20_000, 1801), 1, 'half an hour at most');
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

test('a dead push token is waited for, unless the device has told a new one meanwhile', async () => {
  const [old, renewed] = await addDevices(db, one.id, 2);
  assert.ok(old && renewed);
  await oweDeliveries(db, { ...move, deviceIds: [old.id, renewed.id], items: ['it-policy'] });
  const pushes: Promise<unknown>[] = [];
  const { tick } = await startService({
    outcome: (target) => {
      if (target.pushMagic === `magic-${renewed.id}`) {
        pushes.push(db`update device set push_token = ${randomBytes(32)} where id = ${renewed.id}`.execute());
      }
      return { outcome: 'bad-token', reason: 'BadDeviceToken' };
    },
  });
  await fillBuckets();
  await tick();
  await Promise.all(pushes);
  const states = await db`select id, push_state from device`;
  const of = (id: string) => states.find((row) => row['id'] === id)?.['push_state'];
  assert.equal(of(old.id), 'wait-for-token');
  const [delivery] = await db<{ id: string }[]>`select id from delivery where device_id = ${old.id}`;
  const reasons = await waitingReasons(db, [delivery?.id ?? '', randomUUID()]);
  assert.deepEqual(
    [...reasons.values()].map(({ reason }) => reason),
    ['push-token-missing'],
  );
});

test('accounts of another instance, and accounts that move just now, are left alone', async () => {
  const [mine] = await addDevices(db, one.id, 1);
  const [other] = await addDevices(db, two.id, 1);
  assert.ok(mine && other);
  await oweDeliveries(db, {
    cause: 'activation',
    budgeted: false,
    deviceIds: [mine.id, other.id],
    items: ['it-policy'],
  });
  await db`insert into account_mark (account_id, move_id, until) values (${mine.accountId}, ${randomUUID()}, now() + interval '1 minute')`;
  const { tick, woken } = await startService();
  await tick();
  assert.deepEqual(await states(), { owed: 2 });
  const [delivery] = await db<{ id: string }[]>`select id from delivery where device_id = ${mine.id}`;
  assert.equal((await waitingReasons(db, [delivery?.id ?? ''])).get(delivery?.id ?? '')?.reason, 'account-moving');
  await db`delete from account_mark`;
  await tick();
  assert.deepEqual(await states(), { owed: 1, released: 1 });
  assert.deepEqual(woken, [`magic-${mine.id}`]);
});

test('what was compiled before a debt was renewed, or before its account moved, is not released', async () => {
  const [renewed, moved, same] = await addDevices(db, one.id, 3);
  assert.ok(renewed && moved && same);
  const { service } = await startService();
  await service.tick();
  await fillBuckets();
  await oweDeliveries(db, { ...move, deviceIds: [renewed.id, moved.id, same.id], items: ['it-policy'] });
  const prepared = (await listOwed(db, one.id, true, 10)).map((candidate) => ({
    candidate,
    revision: 'r',
    commandId: randomUUID(),
    requestType: 'InstallProfile',
    body: Buffer.from('x'),
  }));
  assert.equal(prepared.length, 3);
  await oweDeliveries(db, { cause: 'policy-change', budgeted: true, deviceIds: [renewed.id], items: ['it-policy'] });
  await db`update account set epoch = epoch + 2 where id = ${moved.accountId}`;
  const { released } = await releaseBudgeted(db, { instanceId: one.id, release: '1.0.0' }, prepared);
  const [delivery] = await db<{ id: string }[]>`select id from delivery where device_id = ${same.id}`;
  assert.deepEqual(released, [delivery?.id]);
  assert.equal((await db`select id from command`).length, 1);
});

test('a changed policy that changes nothing for a device is not sent again; a move always is', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const { tick } = await startService();
  const owe = async (cause: 'move' | 'policy-change') => {
    await oweDeliveries(db, { cause, budgeted: false, deviceIds: [device.id], items: ['it-policy'] });
    await tick();
    return (await drain(device)).length;
  };
  assert.equal(await owe('move'), 1);
  assert.equal(await owe('policy-change'), 0);
  assert.deepEqual(await states(), { done: 1, superseded: 1 });
  assert.equal(await owe('move'), 1);
  await replacePolicyRules(db, 'Default', { allowCamera: false });
  assert.equal(await owe('policy-change'), 1);
});

test('a rule that a stored policy should not have is left out, reported once, and blocks nobody', async () => {
  const devices = await addDevices(db, one.id, 3);
  await db`update it_policy set rules = rules || '{"ruleOfTheFuture": true}' where name = 'Default'`;
  await oweDeliveries(db, {
    cause: 'manual',
    budgeted: false,
    deviceIds: devices.map(({ id }) => id),
    items: ['it-policy'],
  });
  const { tick } = await startService();
  await tick();
  assert.deepEqual(await states(), { released: 3 });
  const events = await db`select message from event where kind = 'delivery-part-skipped'`;
  assert.equal(events.length, 1);
  assert.match(String(events[0]?.['message']), /ruleOfTheFuture/);
});

test('what cannot be compiled fails by itself and the others are sent', async () => {
  await putService(db, '[CICAL]', { host: 'dav.example.com' });
  const bad = await addDevice(db, await addAccount(db, one.id, 'control\u0001character'));
  const good = await addDevice(db, await addAccount(db, one.id, 'anna'));
  await oweDeliveries(db, { cause: 'manual', budgeted: false, deviceIds: [bad.id, good.id], items: ['service-books'] });
  const { tick } = await startService();
  await tick();
  assert.deepEqual(await states(), { failed: 1, released: 1 });
  const [row] = await db`select failure from delivery where device_id = ${bad.id}`;
  assert.match(String(row?.['failure']), /could not be compiled/);
});

test('an IT policy that a device refused is owed again after its time, once, and not when a newer one was sent', async () => {
  const [refusing, cured] = await addDevices(db, one.id, 2);
  assert.ok(refusing && cured);
  const { tick } = await startService({ delivery: { redeliverAfterSeconds: 600 } });
  await oweDeliveries(db, {
    cause: 'manual',
    budgeted: false,
    deviceIds: [refusing.id, cured.id],
    items: ['it-policy'],
  });
  await tick();
  for (const device of [refusing, cured]) await connect(device, 'Error', (await connect(device))?.commandUuid ?? null);
  assert.deepEqual(await states(), { failed: 2 });
  await tick();
  assert.deepEqual(await states(), { failed: 2 });
  await db`update delivery set settled_at = now() - interval '11 minutes'`;
  await oweDeliveries(db, { cause: 'manual', budgeted: false, deviceIds: [cured.id], items: ['it-policy'] });
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

test('a device that took a delivery and fell silent becomes a suspect, and is served and settled when it comes back', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { tick } = await startService({ budget: { perInstance: 1, perDomain: 1, suspects: 1 } });
  await tick();
  const command = await connect(device);
  await db`update delivery set handed_out_at = now() - interval '61 seconds'`;
  await tick();
  assert.deepEqual(await states(), { suspect: 1 });
  const use = Object.fromEntries((await readPermitUse(db)).map(({ scope, taken }) => [scope, taken]));
  assert.deepEqual([use['domain'], use['suspects']], [0, 1]);
  assert.equal((await connect(device))?.commandUuid, command?.commandUuid);
  await connect(device, 'Acknowledged', command?.commandUuid ?? null);
  assert.deepEqual(await states(), { done: 1 });
  assert.ok((await readPermitUse(db)).every(({ taken }) => taken === 0));
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

test('time in which sending is held back is added up, and none while nothing is held', async () => {
  await oweDeliveries(db, {
    ...move,
    deviceIds: (await addDevices(db, one.id, 5)).map(({ id }) => id),
    items: ['it-policy'],
  });
  const { tick } = await startService({ budget: { perMinuteInstance: 1, perMinuteDomain: 1 } });
  await tick();
  await db`update delivery_hold set updated_at = now() - interval '3 seconds'`;
  await tick();
  const held = async () => Number((await db`select held_seconds from delivery_hold`)[0]?.['held_seconds']);
  assert.ok((await held()) >= 3 && (await held()) < 5.1);
  await db`truncate delivery cascade`;
  await tick();
  const before = await held();
  await db`update delivery_hold set updated_at = now() - interval '3 seconds'`;
  await tick();
  assert.equal(await held(), before);
  assert.equal((await db`select reason from delivery_hold`)[0]?.['reason'], 'nothing');
});

test('the service turns by itself when deliveries are announced, and stops with its signal', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const stop = new AbortController();
  const listening = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<string>();
  const service = createPolicyService({
    db,
    instance: one,
    release: '1.0.0',
    domain,
    push: {
      pausedForMs: () => 0,
      push: async (target) => {
        woken.resolve(target.pushMagic);
        return { outcome: 'sent' };
      },
    },
    clock: {
      now: () => Date.now(),
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
    await oweDeliveries(tx, { cause: 'manual', budgeted: false, deviceIds: [device.id] });
    await announceDeliveries(tx);
  });
  assert.equal(await woken.promise, `magic-${device.id}`);
  stop.abort();
  await running;
  assert.equal(service.counts().failedSteps, 0);
});
