import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import type { Queryable } from '../database/connection.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { addAccount, addDevice, addDevices, domain } from '../policies/fleet-fixture.ts';
import { replacePolicyRules } from '../policies/policy-store.ts';
import { parseProfile } from '../protocol/apple/profile.ts';
import { successorServes } from '../registry/successor.ts';
import { putService } from '../services/service-store.ts';
import { oweDeliveries } from './owe-deliveries.ts';
import { readPermitUse } from './permits.ts';
import { connect, db, drain, fast, move, one, reset, startService, states, two } from './policy-service-fixture.ts';
import {
  type Candidate,
  listOwed,
  type PreparedDelivery,
  releaseBudgeted,
  releaseUnbudgeted,
  settleWithoutSending,
} from './release-store.ts';
import { burstOf } from './token-bucket.ts';
import { waitingReasons } from './waiting-reason.ts';

beforeEach(reset);

function preparedOf(candidate: Candidate): PreparedDelivery {
  return {
    candidate,
    revision: 'r',
    commandId: randomUUID(),
    requestType: 'InstallProfile',
    body: Buffer.from('x'),
  };
}

test('a device is released to, woken, handed its policy, books and synchronization in this order, and is done', async () => {
  await putService(db, '[CICAL]', { host: 'dav.example.com' });
  const accountId = await addAccount(db, one.id, 'anna');
  const device = await addDevice(db, accountId);
  await oweDeliveries(db, registeredPlatforms, { ...move, accountIds: [accountId] });
  const { tick, woken } = await startService({ budget: fast });
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
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: ids, items: ['it-policy'] });
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'manual',
    budgeted: false,
    deviceIds: ids,
    items: ['synchronization'],
  });
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
  await oweDeliveries(db, registeredPlatforms, {
    ...move,
    deviceIds: (await addDevices(db, one.id, 20)).map(({ id }) => id),
    items: ['it-policy'],
  });
  const { tick } = await startService({ budget: { ...fast, perInstance: 3, perDomain: 5 } });
  await tick();
  assert.deepEqual(await states(), { owed: 14, released: 6 });
  await tick();
  assert.deepEqual(await states(), { owed: 14, released: 6 });
  assert.equal((await db`select reason from delivery_hold`)[0]?.['reason'], 'slots-instance');
  await db`update delivery set released_at = now() - interval '1 hour' where state = 'released'`;
  await tick();
  assert.deepEqual(await states(), { owed: 8, released: 12 });
});

test('accounts of another instance, and accounts that move just now, are left alone', async () => {
  const [mine] = await addDevices(db, one.id, 1);
  const [other] = await addDevices(db, two.id, 1);
  assert.ok(mine && other);
  await oweDeliveries(db, registeredPlatforms, {
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
  const { service } = await startService({ budget: fast });
  await service.tick();
  await oweDeliveries(db, registeredPlatforms, {
    ...move,
    deviceIds: [renewed.id, moved.id, same.id],
    items: ['it-policy'],
  });
  const prepared = (await listOwed(db, one.id, true, 10)).map(preparedOf);
  assert.equal(prepared.length, 3);
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'policy-change',
    budgeted: true,
    deviceIds: [renewed.id],
    items: ['it-policy'],
  });
  await db`update account set epoch = epoch + 2 where id = ${moved.accountId}`;
  const { released } = await releaseBudgeted(db, { instanceId: one.id, release: '1.0.0' }, prepared);
  const [delivery] = await db<{ id: string }[]>`select id from delivery where device_id = ${same.id}`;
  assert.deepEqual(released, [delivery?.id]);
  assert.equal((await db`select id from command`).length, 1);
});

test('what several instances release together is what the domain’s rate pays for', async () => {
  await startService({ budget: { perMinuteInstance: 600, perMinuteDomain: 60 } });
  await oweDeliveries(db, registeredPlatforms, {
    ...move,
    deviceIds: (await addDevices(db, one.id, 20)).map(({ id }) => id),
  });
  await oweDeliveries(db, registeredPlatforms, {
    ...move,
    deviceIds: (await addDevices(db, two.id, 20)).map(({ id }) => id),
  });
  // Prepared as if there were no limit: the transaction that pays is what holds it.
  await Promise.all(
    [one, two].map(async ({ id }) => {
      const prepared = (await listOwed(db, id, true, 60)).map(preparedOf);
      await releaseBudgeted(db, { instanceId: id, release: '1.0.0' }, prepared);
    }),
  );
  const { released = 0 } = await states();
  assert.ok(released >= 1 && released <= 2 * burstOf(60), `${released} of 120`);
});

test('a changed policy that changes nothing for a device is not sent again; a move always is', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  const { tick } = await startService();
  const owe = async (cause: 'move' | 'policy-change') => {
    await oweDeliveries(db, registeredPlatforms, {
      cause,
      budgeted: false,
      deviceIds: [device.id],
      items: ['it-policy'],
    });
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
  await oweDeliveries(db, registeredPlatforms, {
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
  await oweDeliveries(db, registeredPlatforms, {
    cause: 'manual',
    budgeted: false,
    deviceIds: [bad.id, good.id],
    items: ['service-books'],
  });
  const { tick } = await startService();
  await tick();
  assert.deepEqual(await states(), { failed: 1, released: 1 });
  const [row] = await db`select failure from delivery where device_id = ${bad.id}`;
  assert.match(String(row?.['failure']), /could not be compiled/);
});

test('a device that took a delivery and fell silent becomes a suspect, and is served and settled when it comes back', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [device.id], items: ['it-policy'] });
  const { tick } = await startService({ budget: { perInstance: 1, perDomain: 1, suspects: 1 } });
  await tick();
  const command = await connect(device);
  await db`update delivery set handed_out_at = now() - interval '61 seconds'`;
  await tick();
  assert.deepEqual(await states(), { suspect: 1 });
  const use = Object.fromEntries((await readPermitUse(db)).map(({ scope, taken }) => [scope, taken]));
  assert.deepEqual([use['domain'], use['suspects']], [0, 1]);
  assert.equal((await connect(device))?.commandUuid, command?.commandUuid);
  await connect(device, 'done', command?.commandUuid ?? null);
  assert.deepEqual(await states(), { done: 1 });
  assert.ok((await readPermitUse(db)).every(({ taken }) => taken === 0));
});

test('what silent devices of an instance without turns hold is taken back by another instance’s turns', async () => {
  const [silent] = await addDevices(db, two.id, 1);
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(silent && device);
  const budget = { perInstance: 1, perDomain: 1, suspects: 1, ...fast };
  await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: [silent.id, device.id], items: ['it-policy'] });
  await (await startService({ budget, instance: two })).tick();
  const lost = await connect(silent, 'idle', null, two);
  assert.ok(lost);
  const { tick } = await startService({ budget });
  const held = [];
  for (const minutes of [5, 6]) {
    await db`
      update delivery set handed_out_at = now() - make_interval(mins => ${minutes}, secs => 1) where state = 'handed-out'`;
    await tick();
    held.push((await connect(device)) === undefined);
  }
  assert.deepEqual(held, [true, false]);
  await connect(silent, 'done', lost.commandUuid, two);
  assert.deepEqual(await states(), { done: 1, 'handed-out': 1 });
});

test('time in which sending is held back is added up, and none while nothing is held', async () => {
  await oweDeliveries(db, registeredPlatforms, {
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

test('a process whose successor serves compiles and settles nothing any more, until that one is gone', async () => {
  await addDevices(db, one.id, 2);
  const process = { name: 'server-1', bootId: 'boot', processId: 1 };
  const isReplaced = (q: Queryable) => successorServes(q, process);
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, detail, lease_until)
    values ('server-1', 'server', 'here', 'boot', 2, '1.0.1', '{1}', '{}', '{"serving": false}', now() + interval '1 minute')`;
  const report = async (change: object, leaseSeconds = 60) =>
    await db`
      update component set detail = ${db.json(change as never)}, lease_until = now() + make_interval(secs => ${leaseSeconds})`;
  const owe = async (budgeted: boolean) => {
    const ids = (await db<{ id: string }[]>`select id from device order by id`).map(({ id }) => id);
    await oweDeliveries(db, registeredPlatforms, { ...move, deviceIds: ids, items: ['it-policy'], budgeted });
    return (await listOwed(db, one.id, budgeted, 10)).map(preparedOf);
  };
  const by = { instanceId: one.id, release: '1.0.0', isReplaced };
  const settlementsOf = (prepared: readonly PreparedDelivery[]) =>
    prepared.map(({ candidate }) => ({ candidate, revision: 'r', state: 'superseded' as const, reason: 'unchanged' }));
  await startService({ budget: fast });
  const prepared = await owe(true);
  assert.equal(prepared.length, 2);
  await report({ serving: true });
  assert.deepEqual((await releaseBudgeted(db, by, prepared)).released, []);
  assert.deepEqual(await releaseUnbudgeted(db, by, prepared), []);
  assert.deepEqual(await settleWithoutSending(db, by, settlementsOf(prepared)), []);
  assert.deepEqual(await states(), { owed: 2 });
  const successor = { ...by, isReplaced: (q: Queryable) => successorServes(q, { ...process, processId: 2 }) };
  assert.equal((await settleWithoutSending(db, successor, settlementsOf(prepared.slice(0, 1)))).length, 1);
  await report({ serving: true }, -1);
  assert.equal((await releaseBudgeted(db, by, prepared)).released.length, 1, 'nobody else does it now');
  await db`delete from component`;
});
