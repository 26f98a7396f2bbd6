import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { CommandId, InstanceId } from '../base/ids.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { reportOf } from '../platforms/apple/messages.ts';
import type { ConnectRequest } from './connect-request.ts';
import { connectRequestOf } from './connect-request.ts';
import { connectDevices } from './connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain, seedPermits } from './device-fixture.ts';
import { beginEnrolment } from './device-store.ts';
import { recordUnreadableAnswer } from './unreadable-answer.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 6 });
const domain = await seedDomain(db);
after(async () => await db.end());

function idle(device: DeviceFixture): ConnectRequest {
  const { token, fingerprint, enrolment } = device;
  const nothing = { commandId: null, answer: null, inventory: null, options: null };
  return { token, fingerprint, enrolment, overTls: true, status: 'idle', ...nothing };
}

function answer(device: DeviceFixture, commandId: CommandId, status: ConnectRequest['status']): ConnectRequest {
  return { ...idle(device), status, commandId, answer: { Status: status } };
}

async function connectOne(instanceId: InstanceId, request: ConnectRequest) {
  const [outcome] = await connectDevices(db, instanceId, [request]);
  assert.ok(outcome);
  return outcome;
}

async function handedOut(instanceId: InstanceId, request: ConnectRequest): Promise<CommandId | null> {
  const outcome = await connectOne(instanceId, request);
  assert.equal(outcome.kind, 'served');
  return outcome.kind === 'served' ? outcome.commandId : null;
}

test('a device that names another UDID is refused; one that has named none yet, or in other letters, is not', async () => {
  const device = await seedDevice(db, domain.here, 'named');
  const { commandId } = await seedCommand(db, device);
  const kind = async (enrolment: string) => (await connectOne(domain.here, { ...idle(device), enrolment })).kind;
  const another = { ...answer(device, commandId, 'done'), enrolment: 'udid-other' };
  assert.equal((await connectOne(domain.here, another)).kind, 'another-enrolment');
  assert.equal(await kind('udid-other'), 'another-enrolment');
  assert.equal(await kind(device.enrolment.toUpperCase()), 'served');
  const [row] = await db`select state from command where id = ${commandId}`;
  assert.equal(row?.['state'], 'sent', 'what the other one answered does not count');
  await db`update device set udid = null, enrollment_id = 'E1' where id = ${device.deviceId}`;
  assert.deepEqual([await kind('e1'), await kind(device.enrolment)], ['served', 'another-enrolment']);
  await db`update device set enrollment_id = null where id = ${device.deviceId}`;
  assert.equal(await kind('anything'), 'served');
});

test('an idle device gets its oldest command, its answer is recorded once, and then there is nothing to do', async () => {
  const device = await seedDevice(db, domain.here, 'a1');
  const first = await seedCommand(db, device);
  const second = await seedCommand(db, device);
  assert.equal(await handedOut(domain.here, idle(device)), first.commandId);
  assert.equal(
    await handedOut(domain.here, idle(device)),
    first.commandId,
    'a lost reply hands the same command out again',
  );
  assert.equal(await handedOut(domain.here, answer(device, first.commandId, 'done')), second.commandId);
  await handedOut(domain.here, answer(device, first.commandId, 'failed'));
  assert.equal(await handedOut(domain.here, answer(device, second.commandId, 'done')), null);
  const [row] = await db`select state, sent_count, answered_epoch from command where id = ${first.commandId}`;
  assert.deepEqual({ ...row }, { state: 'acknowledged', sent_count: 2, answered_epoch: '1' });
});

test('a command answered NotNow waits for the next contact while others go first', async () => {
  const device = await seedDevice(db, domain.here, 'a2');
  const first = await seedCommand(db, device);
  const second = await seedCommand(db, device);
  await handedOut(domain.here, idle(device));
  assert.equal(await handedOut(domain.here, answer(device, first.commandId, 'later')), second.commandId);
  assert.equal(await handedOut(domain.here, answer(device, second.commandId, 'done')), null);
  assert.equal(await handedOut(domain.here, idle(device)), first.commandId);
});

test('in one session no command is handed out twice, and what was answered NotNow hides no other', async () => {
  const device = await seedDevice(db, domain.here, 'a5');
  const [first, second] = [await seedCommand(db, device, { urgent: true }), await seedCommand(db, device)];
  const notNow = (commandId: CommandId) => handedOut(domain.here, answer(device, commandId, 'later'));
  assert.equal(await handedOut(domain.here, idle(device)), first.commandId);
  assert.equal(await notNow(first.commandId), second.commandId);
  assert.equal(await notNow(second.commandId), null);
  const third = await seedCommand(db, device);
  assert.equal(await handedOut(domain.here, idle(device)), third.commandId, 'what was not tried yet');
  assert.equal(await handedOut(domain.here, answer(device, third.commandId, 'done')), first.commandId);
  assert.equal(await notNow(first.commandId), second.commandId, 'a locked first one hides none behind it');
  assert.equal(await notNow(second.commandId), null, 'not twice');
});

test('a command whose reply was lost goes out in the next session also behind another', async () => {
  const device = await seedDevice(db, domain.here, 'a6');
  const first = await seedCommand(db, device);
  assert.equal(await handedOut(domain.here, idle(device)), first.commandId);
  const urgent = await seedCommand(db, device, { urgent: true });
  assert.equal(await handedOut(domain.here, idle(device)), urgent.commandId);
  assert.equal(await handedOut(domain.here, answer(device, urgent.commandId, 'done')), first.commandId);
});

test('a command that is never answered is shown after five hand-outs, and after ten given up at the next contact', async () => {
  const device = await seedDevice(db, domain.here, 'a7');
  await seedPermits(db, domain.here, 1);
  await seedPermits(db, 'domain', 1);
  const { commandId, deliveryId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
  const next = await seedCommand(db, device);
  const events = async () =>
    (await db`select kind from event where subject = ${device.deviceId} order by id`).map((row) => row['kind']);
  for (let times = 1; times <= 10; times++) {
    assert.equal(await handedOut(domain.here, idle(device)), commandId);
    assert.deepEqual(await events(), times < 5 ? [] : ['command-unanswered']);
  }
  assert.equal(await handedOut(domain.here, idle(device)), next.commandId);
  const [row] = await db`
    select c.state, c.answer, d.state as delivery, d.failure from command c join delivery d on d.id = c.delivery_id
     where c.id = ${commandId}`;
  const failure = 'handed out 10 times without a readable answer';
  assert.deepEqual({ ...row }, { state: 'error', answer: { unanswered: 10 }, delivery: 'failed', failure });
  assert.equal((await db`select 1 from delivery_permit where delivery_id = ${deliveryId}`).length, 0);
  assert.deepEqual(await events(), ['command-unanswered', 'command-given-up']);
  assert.equal(await handedOut(domain.here, answer(device, commandId, 'done')), null, 'a late answer is taken');
  await db`delete from delivery_permit`;
});

test('NotNow is an answer: a command that is put off again and again is never given up', async () => {
  const device = await seedDevice(db, domain.here, 'a8');
  const { commandId } = await seedCommand(db, device);
  for (let times = 0; times < 15; times++) {
    assert.equal(await handedOut(domain.here, idle(device)), commandId);
    await handedOut(domain.here, answer(device, commandId, 'later'));
  }
  const [row] = await db`select state, unanswered from command where id = ${commandId}`;
  assert.deepEqual({ ...row }, { state: 'not-now', unanswered: 0 });
});

test('answers that cannot be read count like hand-outs, once for each of them, until the command is exhausted', async () => {
  const device = await seedDevice(db, domain.here, 'a9');
  const note = (by = device) => recordUnreadableAnswer(db, domain.here, { ...by, overTls: true }, 'no plist');
  assert.equal(await note(), 'nothing-out');
  const { commandId } = await seedCommand(db, device);
  const unanswered = async () =>
    (await db`select unanswered from command where id = ${commandId}`)[0]?.['unanswered'] as number;
  for (let times = 1; times <= 3; times++) {
    await handedOut(domain.here, idle(device));
    assert.equal(await note(), 'noted');
    assert.equal(await unanswered(), times, 'the one after a hand-out counts with it');
  }
  assert.equal(await note({ ...device, fingerprint: 'another' }), 'nothing-out');
  for (let times = 4; times <= 9; times++) assert.equal(await note(), 'noted');
  assert.equal(await note(), 'exhausted');
  assert.equal(await handedOut(domain.here, idle(device)), null);
  const [row] = await db`select state, answer from command where id = ${commandId}`;
  assert.deepEqual({ ...row }, { state: 'error', answer: { unreadable: 10, reason: 'no plist', unanswered: 10 } });
});

test('urgent commands jump the queue', async () => {
  const device = await seedDevice(db, domain.here, 'a3');
  await seedCommand(db, device);
  const urgent = await seedCommand(db, device, { urgent: true });
  assert.equal(await handedOut(domain.here, idle(device)), urgent.commandId);
});

test('unknown tokens, other certificates, other owners and ended enrolments are told apart', async () => {
  const device = await seedDevice(db, domain.here, 'a4');
  assert.deepEqual(await connectOne(domain.here, { ...idle(device), token: 'none' }), { kind: 'unknown-device' });
  assert.deepEqual(await connectOne(domain.here, { ...idle(device), fingerprint: 'other' }), {
    kind: 'wrong-identity',
  });
  assert.deepEqual(await connectOne(domain.there, idle(device)), { kind: 'not-owner', owner: 'S10000001' });
  await db`update device set state = 'gone' where id = ${device.deviceId}`;
  assert.deepEqual(await connectOne(domain.here, idle(device)), { kind: 'not-active' });
});

test('a budgeted command leaves only with permits, other commands go before it, and its answer gives them back', async () => {
  const [one, two] = [await seedDevice(db, domain.here, 'b1'), await seedDevice(db, domain.here, 'b2')];
  await seedPermits(db, domain.here, 5);
  await seedPermits(db, 'domain', 1);
  const first = await seedCommand(db, one, { budgeted: true, item: 'it-policy' });
  await seedCommand(db, two, { budgeted: true, item: 'it-policy' });
  const plain = await seedCommand(db, two);
  const outcomes = await connectDevices(db, domain.here, [idle(one), idle(two)]);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.kind === 'served' ? outcome.commandId : outcome.kind)),
    [first.commandId, plain.commandId],
  );
  const taken = await db`select scope from delivery_permit where delivery_id = ${first.deliveryId} order by scope`;
  assert.equal(taken.length, 2);
  assert.equal(await handedOut(domain.here, idle(one)), first.commandId, 'handed out again under the permits it holds');
  await handedOut(domain.here, answer(one, first.commandId, 'done'));
  assert.equal((await db`select 1 from delivery_permit where delivery_id is not null`).length, 0);
  const [delivery] = await db`select state from delivery where id = ${first.deliveryId}`;
  assert.equal(delivery?.['state'], 'done');
  const [applied] = await db`select applied_policy_revision as revision from device where id = ${one.deviceId}`;
  assert.equal(applied?.['revision'], 'rev-1');
});

test('a connect that began before a move committed writes nothing after it', async () => {
  const device = await seedDevice(db, domain.here, 'c1');
  const { commandId } = await seedCommand(db, device);
  await db.begin(async (mover) => {
    await mover`update account set instance_id = ${domain.there}, epoch = epoch + 1 where id = ${device.accountId}`;
    // The owner's change is not committed: the row is locked, so the connect steps back and writes nothing.
    assert.deepEqual(await connectOne(domain.here, idle(device)), { kind: 'moving' });
  });
  assert.deepEqual(await connectOne(domain.here, answer(device, commandId, 'done')), {
    kind: 'not-owner',
    owner: 'S10000002',
  });
  const [row] = await db`select state from command where id = ${commandId}`;
  assert.equal(row?.['state'], 'queued');
  assert.equal(await handedOut(domain.there, idle(device)), commandId, 'the queue went with the account');
});

test('a marked account is stepped back from until the mark runs out', async () => {
  const device = await seedDevice(db, domain.here, 'c2');
  await db`
    insert into account_mark (account_id, move_id, until)
    values (${device.accountId}, gen_random_uuid(), now() + interval '1 hour')`;
  assert.deepEqual(await connectOne(domain.here, idle(device)), { kind: 'moving' });
  await db`update account_mark set until = now() - interval '1 second' where account_id = ${device.accountId}`;
  assert.equal(await handedOut(domain.here, idle(device)), null);
});

test('sixty-four devices in one batch are each answered in their own row', async () => {
  const devices = await Promise.all(Array.from({ length: 64 }, (_, n) => seedDevice(db, domain.here, `m${n}`)));
  const commands = await Promise.all(devices.map((device) => seedCommand(db, device)));
  const outcomes = await connectDevices(db, domain.here, devices.map(idle));
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.kind === 'served' ? outcome.commandId : outcome.kind)),
    commands.map((command) => command.commandId),
  );
});

test('what a device says of itself counts only as the answer to a question of ours', async () => {
  const device = await seedDevice(db, domain.here, 'd1');
  const { commandId } = await seedCommand(db, device);
  const facts = { inventory: { A: 1 }, options: { DeviceName: 'a' }, inventoryRequest: 'DeviceInformation' };
  const told = { ...answer(device, commandId, 'done'), ...facts };
  await connectOne(domain.here, told);
  await db`update command set state = 'sent', request_type = 'DeviceInformation' where id = ${commandId}`;
  const stored = async () => {
    const [row] = await db`select inventory, options, synchronized_at from device where id = ${device.deviceId}`;
    return [row?.['inventory'], row?.['options'], row?.['synchronized_at'] !== null];
  };
  assert.deepEqual(await stored(), [{}, {}, false], 'the answer to another command');
  await connectOne(domain.here, told);
  assert.deepEqual(await stored(), [{ A: 1 }, { DeviceName: 'a' }, true]);
  await connectOne(domain.here, { ...told, inventory: { B: 1 } });
  assert.deepEqual((await stored())[0], { A: 1 }, 'the same answer a second time');
});

test('text that the database cannot hold is left out of an answer, also in names', async () => {
  const device = await seedDevice(db, domain.here, 'd2');
  const { commandId } = await seedCommand(db, device);
  const payload = { 'a\u0000b': 'c\u0000d', QueryResponses: { 'x\u0000': [{ 'y\u0000': 1 }] } };
  const report = reportOf({
    status: 'Acknowledged',
    commandUuid: commandId,
    udid: device.enrolment,
    errorChain: [],
    payload,
  });
  const request = connectRequestOf(device.token, { ...device, overTls: true }, report);
  assert.equal((await connectOne(domain.here, request)).kind, 'served');
  const [row] = await db`select answer from command where id = ${commandId}`;
  assert.deepEqual(row?.['answer'], { ab: 'cd', QueryResponses: { x: [{ y: 1 }] } });
});

test('a device that enrols again gives back the permits of what it had not answered, as does its earlier enrolment', async () => {
  const [earlier, present] = [await seedDevice(db, domain.here, 'e1'), await seedDevice(db, domain.here, 'e2')];
  await db`
    update device set account_id = ${earlier.accountId}, udid = 'udid-e1' where id = ${present.deviceId}`;
  await db`update device set options = '{"DeviceName": "kept"}' where id = ${earlier.deviceId}`;
  const deliveries: (string | null)[] = [];
  for (const device of [earlier, present]) {
    const { deliveryId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
    await db`update delivery set state = 'handed-out' where id = ${deliveryId}`;
    await db`
      insert into delivery_permit (scope, number, delivery_id) values (${device.deviceId}, 1, ${deliveryId})`;
    deliveries.push(deliveryId);
  }
  const device = {
    hardwareId: 'udid-e1',
    enrolmentId: null,
    channel: 't',
    serialNumber: null,
    model: null,
    product: null,
  };
  await db.begin((tx) =>
    beginEnrolment(
      tx,
      { deviceId: present.deviceId, instanceId: domain.here },
      { ...device, osVersion: null, softwareVersion: null },
    ),
  );
  const held = await db`select 1 from delivery_permit where delivery_id = any(${deliveries as string[]}::uuid[])`;
  assert.equal(held.length, 0);
  const [row] = await db`
    select p.state, p.options, e.state as earlier, e.suspended_by = p.id as suspended from device p, device e
     where p.id = ${present.deviceId} and e.id = ${earlier.deviceId}`;
  assert.deepEqual(
    { ...row },
    { state: 'authenticated', options: { DeviceName: 'kept' }, earlier: 'authenticated', suspended: true },
  );
});

test('a commit waits for the disk unless all that it says is when idle devices were seen', async () => {
  const [quiet, busy] = [await seedDevice(db, domain.here, 'quiet'), await seedDevice(db, domain.here, 'busy')];
  const { commandId } = await seedCommand(db, busy);
  const commitAfter = async (requests: readonly ConnectRequest[]) =>
    await db.begin(async (tx) => {
      await tx`set local synchronous_commit = on`;
      await connectDevices(tx as unknown as Database, domain.here, requests);
      const [row] = await tx`show synchronous_commit`;
      return row?.['synchronous_commit'];
    });
  assert.equal(await commitAfter([idle(quiet)]), 'off');
  assert.equal(await commitAfter([idle(quiet), idle(busy)]), 'on', 'a command was handed out');
  assert.equal(await commitAfter([idle(quiet), answer(busy, commandId, 'done')]), 'on');
  assert.equal(await commitAfter([idle(quiet), idle(busy)]), 'off');
});

test('a batch of idle devices and one with answers among them are answered row by row alike', async () => {
  const devices = await Promise.all(['row-1', 'row-2', 'row-3'].map((name) => seedDevice(db, domain.here, name)));
  const [first, second, third] = devices as [DeviceFixture, DeviceFixture, DeviceFixture];
  const { commandId } = await seedCommand(db, second);
  const strange = { ...idle(third), token: 'unknown' };
  const kinds = async (requests: readonly ConnectRequest[]) =>
    (await connectDevices(db, domain.here, requests)).map(({ kind }) => kind);
  assert.deepEqual(await kinds([idle(first), strange, idle(second)]), ['served', 'unknown-device', 'served']);
  assert.deepEqual(await kinds([idle(first), answer(second, commandId, 'later'), strange]), [
    'served',
    'served',
    'unknown-device',
  ]);
  assert.deepEqual(await kinds([]), []);
});
