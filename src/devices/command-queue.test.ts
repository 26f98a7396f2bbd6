import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, type DeviceId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/test-database.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { cancelCommand, listCommands, type NewCommand, queueCommand } from './command-queue.ts';
import { connectDevices } from './connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from './device-fixture.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 6 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());

const limited = { timeout: 20_000 };
function command(deviceId: DeviceId, urgent = false): NewCommand {
  return { commandId: newId<CommandId>(), deviceId, requestType: 'DeviceLock', body: Buffer.from('plist'), urgent };
}
const queue = (wanted: NewCommand) => db.begin((tx) => queueCommand(tx, wanted));
const cancel = (commandId: CommandId) => db.begin((tx) => cancelCommand(tx, commandId));
async function connect(device: DeviceFixture): Promise<CommandId | null> {
  const { token, fingerprint, enrolment } = device;
  const nothing = { commandId: null, answer: null, inventory: null, options: null };
  const [outcome] = await connectDevices(db, here, [
    { token, fingerprint, enrolment, overTls: true, status: 'Idle', ...nothing },
  ]);
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
  const listed = await listCommands(db, device.deviceId, 10);
  assert.deepEqual(
    listed.map(({ commandId, state, urgent: first, sentCount }) => ({ commandId, state, first, sentCount })),
    [
      { commandId: urgent.commandId, state: 'sent', first: true, sentCount: 1 },
      { commandId: plain.commandId, state: 'queued', first: false, sentCount: 0 },
    ],
  );
  assert.equal((await listCommands(db, device.deviceId, 1)).length, 1);
});

test('only a device under management gets commands', limited, async () => {
  const device = await seedDevice(db, here, 'inactive');
  assert.equal(await queue(command(newId<DeviceId>())), 'not-found');
  for (const state of ['offered', 'certified', 'authenticated', 'gone']) {
    await db`update device set state = ${state} where id = ${device.deviceId}`;
    assert.equal(await queue(command(device.deviceId)), 'not-active', state);
  }
  assert.equal((await listCommands(db, device.deviceId, 10)).length, 0);
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
  assert.equal((await listCommands(db, device.deviceId, 1))[0]?.commandId, wanted.commandId);
});

test('a command is cancelled only before it was handed out, and then it is never handed out', limited, async () => {
  const device = await seedDevice(db, here, 'cancel');
  const [first, second] = [command(device.deviceId), command(device.deviceId)];
  await queue(first);
  await queue(second);
  assert.equal(await cancel(first.commandId), 'cancelled');
  assert.equal(await cancel(first.commandId), 'handed-out', 'it is not queued any more');
  assert.equal(await connect(device), second.commandId);
  assert.equal(await cancel(second.commandId), 'handed-out');
  assert.equal(await cancel(newId<CommandId>()), 'not-found');
  const { commandId } = await seedCommand(db, device, { item: 'it-policy' });
  assert.equal(await cancel(commandId), 'of-a-delivery');
});

test('a device that fetches the command while it is being cancelled gets nothing', limited, async () => {
  const device = await seedDevice(db, here, 'race');
  const wanted = command(device.deviceId);
  await queue(wanted);
  const fetching = await db.begin(async (tx) => {
    assert.equal(await cancelCommand(tx, wanted.commandId), 'cancelled');
    const waiting = watched(connect(device));
    assert.ok(await untilOneWaits(db, waiting.settled));
    return waiting;
  });
  assert.equal(await fetching.result, null);
  assert.equal((await listCommands(db, device.deviceId, 1))[0]?.state, 'cancelled');
});
