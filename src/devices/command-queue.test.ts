import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, type DeviceId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import {
  type ChangedCommands,
  type CommandChoice,
  cancelCommands,
  listCommands,
  type NewCommand,
  queueCommand,
  requeueCommands,
} from './command-queue.ts';
import type { ConnectRequest } from './connect-request.ts';
import { connectDevices } from './connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain, seedPermits } from './device-fixture.ts';
import { cancelledByOperator } from './unanswered-commands.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 6 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());

const limited = { timeout: 20_000 };
function command(deviceId: DeviceId, urgent = false): NewCommand {
  return { commandId: newId<CommandId>(), deviceId, requestType: 'DeviceLock', body: Buffer.from('plist'), urgent };
}
const queue = (wanted: NewCommand) => db.begin((tx) => queueCommand(tx, wanted));
const cancel = (choice: CommandChoice, handedOut = false) =>
  db.begin((tx) => cancelCommands(tx, choice, { handedOut })) as Promise<ChangedCommands>;
const requeue = (choice: CommandChoice) => db.begin((tx) => requeueCommands(tx, choice)) as Promise<ChangedCommands>;
const commandsOf = async (deviceId: DeviceFixture['deviceId'], limit: number) =>
  (await listCommands(db, deviceId, { sort: '-queuedAt', limit })).rows;
const commandStates = async ({ deviceId }: DeviceFixture) => (await commandsOf(deviceId, 10)).map(({ state }) => state);
function requestOf(
  { token, fingerprint, enrolment }: DeviceFixture,
  status: ConnectRequest['status'] = 'idle',
  commandId: CommandId | null = null,
): ConnectRequest {
  const nothing = { answer: null, inventory: null, options: null };
  return { token, fingerprint, enrolment, overTls: true, status, commandId, ...nothing };
}
async function connect(
  device: DeviceFixture,
  status: ConnectRequest['status'] = 'idle',
  commandId: CommandId | null = null,
): Promise<CommandId | null> {
  const [outcome] = await connectDevices(db, here, [requestOf(device, status, commandId)]);
  assert.ok(outcome?.kind === 'served');
  return outcome.commandId;
}

test('a queued command is told to instances and handed out, an urgent one first', limited, async () => {
  const device = await seedDevice(db, here, 'queue');
  const told = Promise.withResolvers<void>();
  const { unlisten } = await db.listen('bramble_delivery', () => told.resolve());
  const [plain, urgent] = [command(device.deviceId), command(device.deviceId, true)];
  assert.equal(await queue(plain), 'queued');
  await told.promise;
  await unlisten();
  assert.equal(await queue(urgent), 'queued');
  assert.equal(await connect(device), urgent.commandId);
  const listed = await commandsOf(device.deviceId, 10);
  assert.deepEqual(
    listed.map(({ commandId, state, urgent: first, sentCount }) => ({ commandId, state, first, sentCount })),
    [
      { commandId: urgent.commandId, state: 'sent', first: true, sentCount: 1 },
      { commandId: plain.commandId, state: 'queued', first: false, sentCount: 0 },
    ],
  );
  assert.equal((await commandsOf(device.deviceId, 1)).length, 1);
});

test('only a device under management gets commands', limited, async () => {
  const device = await seedDevice(db, here, 'inactive');
  assert.equal(await queue(command(newId<DeviceId>())), 'not-found');
  for (const state of ['offered', 'certified', 'authenticated', 'gone']) {
    await db`update device set state = ${state} where id = ${device.deviceId}`;
    assert.equal(await queue(command(device.deviceId)), 'not-active', state);
  }
  assert.equal((await commandsOf(device.deviceId, 10)).length, 0);
});

test('a move that is being committed is waited for, and the command goes with the account', limited, async () => {
  const device = await seedDevice(db, here, 'moving');
  const wanted = command(device.deviceId);
  const queueing = await db.begin(async (mover) => {
    await mover`update account set instance_id = ${there}, epoch = epoch + 1 where id = ${device.accountId}`;
    const waiting = watched(queue(wanted));
    assert.ok(await untilOneWaits(db, waiting.settled));
    return waiting;
  });
  assert.equal(await queueing.result, 'queued');
  assert.equal((await commandsOf(device.deviceId, 1))[0]?.commandId, wanted.commandId);
});

test(
  'what waits is cancelled, what the device has in hand only when that is asked for, and neither is handed out again',
  limited,
  async () => {
    const device = await seedDevice(db, here, 'cancel');
    const [first, second] = [command(device.deviceId), command(device.deviceId)];
    await queue(first);
    await queue(second);
    assert.deepEqual(await cancel(first), { kind: 'changed', commands: 1, deliveries: 0 });
    assert.equal((await cancel(first)).kind, 'settled');
    assert.equal(await connect(device), second.commandId);
    assert.equal((await cancel(second)).kind, 'handed-out');
    assert.equal((await cancel(second, true)).kind, 'changed');
    assert.equal((await cancel({ commandId: newId<CommandId>() }, true)).kind, 'not-found');
    assert.equal(await connect(device), null);
    assert.equal(await connect(device, 'done', second.commandId), null, 'a late answer is taken');
    assert.deepEqual(await commandStates(device), ['cancelled', 'cancelled']);
  },
);

test(
  'cancelling the command of a delivery ends it as failed by an operator, and its permits come back',
  limited,
  async () => {
    const device = await seedDevice(db, here, 'cancel-delivery');
    for (const scope of [here, 'domain']) await seedPermits(db, scope, 1);
    const { commandId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
    assert.equal(await connect(device), commandId);
    const taken = async () => (await db`select 1 from delivery_permit where delivery_id is not null`).length;
    assert.equal(await taken(), 2);
    const { deviceId } = device;
    assert.equal((await cancel({ deviceId })).kind, 'handed-out');
    assert.deepEqual(await cancel({ deviceId }, true), { kind: 'changed', commands: 1, deliveries: 1 });
    assert.equal(await taken(), 0);
    const [delivery] = await db`select state, failure from delivery where device_id = ${deviceId}`;
    assert.deepEqual({ ...delivery }, { state: 'failed', failure: cancelledByOperator });
    assert.deepEqual(await cancel({ deviceId }, true), { kind: 'changed', commands: 0, deliveries: 0 });
  },
);

test(
  'what is requeued waits as if it had not been handed out, and a late answer settles it all the same',
  limited,
  async () => {
    const device = await seedDevice(db, here, 'requeue');
    const { commandId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
    const { deviceId } = device;
    const delivery = async () => (await db`select state from delivery where device_id = ${deviceId}`)[0]?.['state'];
    for (let times = 0; times < 3; times++) assert.equal(await connect(device), commandId);
    assert.deepEqual(await requeue({ commandId }), { kind: 'changed', commands: 1, deliveries: 1 });
    assert.equal((await db`select 1 from delivery_permit where delivery_id is not null`).length, 0);
    const [listed] = await commandsOf(deviceId, 1);
    assert.deepEqual([listed?.state, listed?.unanswered, await delivery()], ['queued', 0, 'released']);
    assert.equal(await connect(device, 'done', commandId), null);
    assert.equal(await delivery(), 'done');
    assert.equal((await requeue({ commandId })).kind, 'settled');
    assert.deepEqual(await requeue({ deviceId }), { kind: 'changed', commands: 0, deliveries: 0 });
  },
);

test('a device that comes while its command is being cancelled is tried again and gets nothing', limited, async () => {
  const device = await seedDevice(db, here, 'race');
  const wanted = command(device.deviceId);
  await queue(wanted);
  await db.begin(async (tx) => {
    assert.equal((await cancelCommands(tx, wanted, { handedOut: false })).kind, 'changed');
    const [outcome] = await connectDevices(db, here, [requestOf(device)]);
    assert.equal(outcome?.kind, 'moving');
  });
  assert.equal(await connect(device), null);
});
