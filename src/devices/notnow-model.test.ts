/**
 * The order of commands, held against a small model of an Apple device on a real PostgreSQL: it comes when it is pushed, or
 * by itself where NotNow was the last thing it said; it carries out one command after another until it is told nothing; and
 * while it is locked, or out of a command's reach, it answers NotNow.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { CommandId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { listSleeping } from '../deliveries/wake-store.ts';
import { endingWithin } from '../testing/property.ts';
import type { ConnectRequest } from './connect-request.ts';
import { connectDevices } from './connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain, seedPermits } from './device-fixture.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
after(async () => await db.end());
const { here } = await seedDomain(db);
for (const scope of [here, 'domain']) await seedPermits(db, scope, 1);
/** Every interval is over at once: they pace pushes only, and nothing may depend on them (waker.test.ts has the pace). */
const pace = { againSeconds: 0, maxAgainSeconds: 0, slotRetrySeconds: 0 };

interface ModelDevice {
  fixture: DeviceFixture;
  /** Commands that it cannot do before so many sessions. */
  lockedFor: Map<CommandId, number>;
  wanted: Set<CommandId>;
  done: CommandId[];
  saidNotNowLast: boolean;
  sessions: number;
}

async function say(
  { token, fingerprint, enrolment }: DeviceFixture,
  status: ConnectRequest['status'],
  commandId: CommandId | null,
): Promise<CommandId | null> {
  const request = {
    token,
    fingerprint,
    enrolment,
    overTls: true,
    status,
    commandId,
    answer: null,
    inventory: null,
    options: null,
  };
  const [outcome] = await connectDevices(db, here, [request]);
  assert.ok(outcome?.kind === 'served');
  return outcome.commandId;
}

/** One session: from an Idle until it is told nothing, or, where `replies` says so, until a reply is lost. */
async function session(device: ModelDevice, replies: number): Promise<void> {
  device.sessions += 1;
  const told = new Set<CommandId>();
  let command = await say(device.fixture, 'idle', null);
  device.saidNotNowLast = false;
  while (command !== null && told.size < replies) {
    assert.ok(!told.has(command), 'no command is handed out twice in a session');
    assert.ok(!device.done.includes(command), 'nothing is done twice');
    told.add(command);
    const locked = device.lockedFor.get(command) ?? 0;
    device.lockedFor.set(command, locked - 1);
    device.saidNotNowLast = locked > 0;
    if (locked <= 0) device.done.push(command);
    command = await say(device.fixture, locked > 0 ? 'later' : 'done', command);
  }
}

const order = fc.record({
  device: fc.nat(2),
  urgent: fc.boolean(),
  budgeted: fc.boolean(),
  lockedFor: fc.constantFrom(0, 0, 0, 1, 2, Number.POSITIVE_INFINITY),
});
const step = fc.oneof(
  { weight: 2, arbitrary: order.map((command) => ({ kind: 'queue' as const, ...command })) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('come' as const),
      device: fc.nat(2),
      replies: fc.integer({ min: 0, max: 4 }),
    }),
  },
);

test('every command that can be done is done, none goes out twice in a session, and no order starves', {
  timeout: 300_000,
}, async () => {
  let number = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 16 }), async (script) => {
      const devices: ModelDevice[] = [];
      for (let index = 0; index < 3; index++) {
        const fixture = await seedDevice(db, here, `model-${number++}`);
        await db`update device set push_token = 'x', push_magic = 'm', push_state = 'ok' where id = ${fixture.deviceId}`;
        devices.push({
          ...{ fixture, lockedFor: new Map(), wanted: new Set(), done: [] },
          ...{ saidNotNowLast: false, sessions: 0 },
        });
      }
      const at = (index: number): ModelDevice => devices[index] as ModelDevice;
      for (const action of script) {
        const device = at(action.device);
        if (action.kind === 'come') await session(device, action.replies);
        else {
          const { urgent, budgeted } = action;
          const item = budgeted ? 'it-policy' : undefined;
          const { commandId } = await seedCommand(db, device.fixture, { urgent, budgeted, ...(item && { item }) });
          device.lockedFor.set(commandId, action.lockedFor);
          if (Number.isFinite(action.lockedFor)) device.wanted.add(commandId);
        }
      }
      // From here on nothing new comes: devices come only where they are pushed, or said NotNow last.
      // With one permit a session carries out one budgeted command, and a locked one is tried three times, in turns.
      const allDone = () => devices.every(({ wanted, done }) => done.length === wanted.size);
      for (let round = 0; round < 3 || (round < 3 * script.length && !allDone()); round++) {
        const due = new Set((await listSleeping(db, here, ['apple'], pace, 1000)).map(({ deviceId }) => deviceId));
        const coming = devices.filter(({ fixture, saidNotNowLast }) => saidNotNowLast || due.has(fixture.deviceId));
        if (coming.length === 0) break;
        for (const device of coming) {
          await db`update device set woken_at = clock_timestamp() where id = ${device.fixture.deviceId}`;
          await session(device, Number.POSITIVE_INFINITY);
        }
      }
      for (const { wanted, done } of devices) {
        assert.deepEqual(new Set(done), wanted, 'what can be done is done');
      }
      const [open] = await db`select count(*)::int as taken from delivery_permit where delivery_id is not null`;
      assert.equal(open?.['taken'], 0, 'NotNow and answers gave every permit back');
      await db`update device set state = 'gone'`;
    }),
    { numRuns: 60, ...endingWithin() },
  );
});
