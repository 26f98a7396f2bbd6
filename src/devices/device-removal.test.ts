import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { oweDeliveries } from '../deliveries/owe-deliveries.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { queueCommand } from './command-queue.ts';
import { connectDevices } from './connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain, seedPermits } from './device-fixture.ts';
import { finishRemovals, removalDays, removeDevice } from './device-removal.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());
const limited = { timeout: 30_000 };

const remove = (device: DeviceFixture, tell: boolean, commandId = newId<CommandId>()) =>
  db.begin((tx) =>
    removeDevice(tx, {
      deviceId: device.deviceId,
      tell,
      command: { commandId, requestType: 'RemoveProfile', body: Buffer.from('r') },
    }),
  );
const look = (instanceId = here) => db.begin((tx) => finishRemovals(tx, instanceId));
const stateOf = async (device: DeviceFixture) =>
  (await db`select state from device where id = ${device.deviceId}`)[0]?.['state'] as string;

async function connectOutcome(device: DeviceFixture, answered?: CommandId) {
  const { token, fingerprint, enrolment } = device;
  const [outcome] = await connectDevices(db, here, [
    {
      ...{ token, fingerprint, enrolment, overTls: true, inventory: null, options: null },
      ...(answered === undefined
        ? { status: 'idle', commandId: null, answer: null }
        : { status: 'done', commandId: answered, answer: {} }),
    },
  ]);
  assert.ok(outcome);
  return outcome;
}

async function connect(device: DeviceFixture, answered?: CommandId) {
  const outcome = await connectOutcome(device, answered);
  assert.ok(outcome.kind === 'served');
  return outcome;
}

test('what was open ends, permits come back, and nothing is owed any more, told or not', limited, async () => {
  await seedPermits(db, 'domain', 2);
  for (const tell of [true, false]) {
    const device = await seedDevice(db, here, `open-${tell}`);
    const open = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
    await db`update delivery_permit set delivery_id = ${open.deliveryId} where number = 1`;
    const lock = await seedCommand(db, device, { urgent: true });
    await db`insert into device_user (device_id, user_id, push_token, push_magic) values (${device.deviceId}, 'u', 'x', 'm')`;
    const commandId = newId<CommandId>();
    await remove(device, tell, commandId);
    const pending = await db`select id from command where device_id = ${device.deviceId} and state = 'queued'`;
    assert.deepEqual(
      pending.map((row) => row['id']),
      tell ? [commandId] : [],
    );
    const [command] = await db`select state from command where id = ${lock.commandId}`;
    assert.equal(command?.['state'], 'cancelled');
    assert.equal((await db`select 1 from delivery_permit where delivery_id is not null`).length, 0);
    const owed = await oweDeliveries(db, registeredPlatforms, {
      deviceIds: [device.deviceId],
      cause: 'manual',
      budgeted: false,
    });
    assert.equal(owed.length, 0);
    assert.equal(await stateOf(device), tell ? 'active' : 'gone');
  }
});

test('only the answer to the removal says that the device leaves', limited, async () => {
  const device = await seedDevice(db, here, 'answers');
  const commandId = newId<CommandId>();
  await remove(device, true, commandId);
  assert.deepEqual(
    [(await connect(device)).commandId, (await connect(device, newId<CommandId>())).leaves],
    [commandId, false],
  );
  await look();
  assert.equal(await stateOf(device), 'active');
  assert.equal((await connect(device, commandId)).leaves, true);
  await look(there);
  assert.equal(await stateOf(device), 'active', 'its owner ends it');
  // The process that took the answer died before it ended the enrolment.
  await look();
  assert.equal(await stateOf(device), 'gone');
  assert.equal((await connectOutcome(device)).kind, 'not-active');
});

test('a device that does not answer ends after its days', limited, async () => {
  const device = await seedDevice(db, here, 'silent');
  await remove(device, true);
  const waitedDays = async (days: number) =>
    await db`update device set removing_since = now() - make_interval(days => ${days}) where id = ${device.deviceId}`;
  await waitedDays(removalDays - 1);
  await look();
  assert.equal(await stateOf(device), 'active');
  await waitedDays(removalDays);
  await look();
  assert.equal(await stateOf(device), 'gone');
});

/** Removes the device, and while that is not committed begins something else, which waits for it. */
async function removedMeanwhile<Result>(device: DeviceFixture, tell: boolean, other: () => Promise<Result>) {
  const command = { commandId: newId<CommandId>(), requestType: 'RemoveProfile', body: Buffer.from('r') };
  const { removal, rival } = await db.begin(async (tx) => {
    const removal = await removeDevice(tx, { deviceId: device.deviceId, tell, command });
    const rival = watched(other());
    assert.ok(await untilOneWaits(db, rival.settled));
    return { removal, rival };
  });
  return [removal, await rival.result] as const;
}

test('a command that an administrator queues while another removes the device is not queued', limited, async () => {
  const device = await seedDevice(db, here, 'late');
  const command = { commandId: newId<CommandId>(), deviceId: device.deviceId, requestType: 'ProfileList' };
  const [, outcome] = await removedMeanwhile(device, false, () =>
    db.begin((tx) => queueCommand(tx, { ...command, body: Buffer.from('p'), urgent: false })),
  );
  assert.equal(outcome, 'not-active');
  assert.deepEqual([...(await db`select 1 from command where device_id = ${device.deviceId}`)], []);
});

test('of two administrators at once the second finds what the first did', limited, async () => {
  const device = await seedDevice(db, here, 'rivals');
  const [first, second] = await removedMeanwhile(device, true, () => remove(device, true));
  assert.ok(first.kind === 'leaving' && second.kind === 'leaving');
  assert.equal(first.commandId, second.commandId);
  const queued = await db`select 1 from command where device_id = ${device.deviceId}`;
  assert.equal(queued.length, 1);
});

test('a removal waits for a connect that is under way, and ends what that one was handed', limited, async () => {
  const device = await seedDevice(db, here, 'midway');
  const { commandId } = await seedCommand(db, device);
  const removal = await db.begin(async (tx) => {
    await tx`select 1 from account where id = ${device.accountId} for share`;
    await tx`update command set state = 'sent' where id = ${commandId}`;
    const waiting = watched(remove(device, false));
    assert.ok(await untilOneWaits(db, waiting.settled));
    return waiting;
  });
  assert.equal((await removal.result).kind, 'ended');
  const [command] = await db`select state from command where id = ${commandId}`;
  assert.equal(command?.['state'], 'cancelled');
});

test(
  'a device that is not under management ends at once, and is told to leave if it was to be told',
  limited,
  async () => {
    for (const state of ['offered', 'certified', 'authenticated', 'gone']) {
      const device = await seedDevice(db, here, `not-${state}`);
      await db`update device set state = ${state} where id = ${device.deviceId}`;
      assert.deepEqual(await remove(device, true), { kind: 'ended', tells: true });
      assert.deepEqual(await remove(device, false), { kind: 'ended', tells: false });
      assert.equal(await stateOf(device), 'gone');
    }
    const nobody = { ...(await seedDevice(db, here, 'nobody')), deviceId: newId<DeviceFixture['deviceId']>() };
    assert.deepEqual(await remove(nobody, true), { kind: 'not-found' });
  },
);
