/**
 * What the functions of the stores do to enrolments, commands, deliveries and moves, in whatever order they are called: no row
 * ever takes a transition that its machine does not have, and whatever state all of them are in then, an end can be reached.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { type InstanceId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { assertNotedWithin, noteTransitions } from '../database/state-log-fixture.ts';
import { oweAgainAfter } from '../deliveries/owe-again.ts';
import { oweDeliveries } from '../deliveries/owe-deliveries.ts';
import { listOwed, releaseBudgeted, releaseUnbudgeted, settleWithoutSending } from '../deliveries/release-store.ts';
import { markSuspects, takeBackAllSilent, takeBackForgotten, takeBackSilent } from '../deliveries/suspects.ts';
import { oweRefusedPolicies, trimCommands } from '../deliveries/upkeep.ts';
import { createAnnouncementScene } from '../devices/announcements-fixture.ts';
import { cancelCommands, queueCommand, requeueCommands } from '../devices/command-queue.ts';
import type { ConnectRequest } from '../devices/connect-request.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { type DeviceFixture, seedDevice, seedDomain, seedPermits } from '../devices/device-fixture.ts';
import { finishRemovals, removeDevice } from '../devices/device-removal.ts';
import { suspendEarlier, takeBack } from '../devices/suspension.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { deviceStates } from '../states/device-states.ts';
import { moveBatchStates } from '../states/move-batch-states.ts';
import { moveStates } from '../states/move-states.ts';
import { endingWithin } from '../testing/property.ts';
import { cancelMoveBatch, createMoveBatch, moveBatchBack, pauseMoveBatch, resumeMoveBatch } from './batch-store.ts';
import {
  cancelMoveElsewhere,
  commitMove,
  fenceMove,
  markOutOfReach,
  reserveMoves,
  settleMoves,
  unfenceMove,
} from './move-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
after(async () => await db.end());
const { here, there } = await seedDomain(db);
for (const scope of [here, there, 'domain']) {
  await db`insert into send_rate (scope, per_minute, tokens, refilled_at) values (${scope}, 1000, 1000, now())`;
}
await noteTransitions(db, ['device', 'command', 'delivery', 'account_move', 'move_batch']);
const scene = createAnnouncementScene(db, here);

interface World {
  readonly devices: readonly DeviceFixture[];
  /** What each was handed last. */
  readonly handed: Map<string, string>;
  readonly batches: string[];
}

/** Two of an account each, and one that names the same UDID as the first. */
async function newWorld(run: number): Promise<World> {
  await db`truncate account, move_batch, delivery_permit cascade`;
  for (const scope of [here, there, 'domain', 'suspects']) await seedPermits(db, scope, 2);
  const devices: DeviceFixture[] = [];
  for (const name of ['a', 'b', 'c']) {
    const device = await seedDevice(db, here, `${name}-${run}`);
    const enrolment = name === 'c' ? `udid-a-${run}` : device.enrolment;
    await db`
      update device set state = 'certified', udid = null, push_token = 'x', push_magic = 'm' where id = ${device.deviceId}`;
    devices.push({ ...device, enrolment });
  }
  // What is noted from here on the stores have done.
  await db`truncate noted_transition`;
  return { devices, handed: new Map(), batches: [] };
}

const machines = {
  device: deviceStates,
  command: commandStates,
  delivery: deliveryStates,
  account_move: moveStates,
  move_batch: moveBatchStates,
};
/** Transitions that no store takes here. */
const notHere: Partial<Record<keyof typeof machines, readonly string[]>> = {
  // Enrolments begin with a certificate here; how they get it: src/activation.
  device: ['offered → certified', 'offered → gone'],
  // Between two databases, which no release does yet.
  account_move: ['delivering → settled', 'settled → closed'],
  // What a reversed release left in queues, withdrawn: src/upgrade/operations/effects.test.ts.
  delivery: ['released → superseded'],
};
/** Over all runs. */
const noted = new Map(Object.keys(machines).map((table) => [table, new Set<string>()]));

async function assertWithin(): Promise<void> {
  for (const [table, machine] of Object.entries(machines)) {
    for (const transition of await assertNotedWithin(db, table, machine)) noted.get(table)?.add(transition);
  }
}

const statuses = ['idle', 'done', 'failed', 'later'] as const;

async function come({ handed }: World, device: DeviceFixture, status: ConnectRequest['status']): Promise<boolean> {
  const [row] = await db<{ at: InstanceId }[]>`select instance_id as at from account where id = ${device.accountId}`;
  const commandId = status === 'idle' ? null : ((handed.get(device.deviceId) ?? newId()) as never);
  const { token, fingerprint, enrolment } = device;
  const [outcome] = await connectDevices(db, row?.at ?? here, [
    {
      ...{ token, fingerprint, enrolment, overTls: true, status, commandId },
      answer: {},
      inventory: null,
      options: null,
    },
  ]);
  const command = outcome?.kind === 'served' ? outcome.commandId : null;
  if (command !== null) handed.set(device.deviceId, command);
  return command !== null;
}

/** Releases what is owed, or settles it without. */
async function release(instanceId: InstanceId, how: 'send' | 'superseded' | 'failed'): Promise<void> {
  const by = { instanceId, release: '1.3.0' };
  for (const budgeted of [true, false]) {
    const owed = await listOwed(db, instanceId, budgeted, 10);
    if (how === 'send') {
      const prepared = owed.map((candidate) => ({
        ...{
          candidate,
          revision: 'r',
          commandId: newId<string>(),
          requestType: 'InstallProfile',
          body: Buffer.from('body'),
        },
      }));
      if (budgeted) await releaseBudgeted(db, by, prepared);
      else await releaseUnbudgeted(db, by, prepared);
    } else {
      const settlements = owed.map((candidate) => ({ candidate, revision: null, state: how, reason: 'test' }));
      await settleWithoutSending(db, by, settlements);
    }
  }
}

/** Whatever is with a device has been there for long. */
async function fallSilent(how: number): Promise<void> {
  await db`update delivery set handed_out_at = now() - interval '1 day' where state in ('handed-out', 'suspect')`;
  const looks = [
    () => markSuspects(db, here, 60),
    () => markSuspects(db, there, 60),
    () => takeBackSilent(db, here, 60),
    () => takeBackForgotten(db, 60),
    () => db.begin((tx) => takeBackAllSilent(tx, 60)),
  ];
  await looks[how % looks.length]?.();
}

async function move(world: World, what: number): Promise<void> {
  if (what === 0) {
    const moves = world.devices.map(({ accountId }, index) => ({
      accountId,
      toInstanceId: index === 1 ? here : there,
    }));
    const { batchId } = await db.begin((tx) => createMoveBatch(tx, { purpose: 'manual', createdBy: 'test', moves }));
    world.batches.push(batchId);
    return;
  }
  if (what === 1) {
    await db`update account_move set reserved_until = now() - interval '1 s', retry_at = null`;
    return;
  }
  const batchId = world.batches.at(-1);
  if (what === 2 && batchId !== undefined) return (await db.begin((tx) => cancelMoveBatch(tx, batchId))) as undefined;
  if (what === 3 && batchId !== undefined) {
    const back = await db.begin((tx) => moveBatchBack(tx, batchId, { createdBy: 'test' }));
    world.batches.push(back.batchId);
    return;
  }
  if (what === 4) await db.begin((tx) => settleMoves(tx, 'all'));
  if (what === 5) await db.begin((tx) => markOutOfReach(tx, 0));
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'runner', 1));
  if (reserved === undefined) return;
  if (what % 2 === 0 && what !== 10) await db.begin((tx) => fenceMove(tx, reserved));
  if (what === 6 || what === 10) await db.begin((tx) => unfenceMove(tx, reserved, 'test', 3));
  else if (what === 7) await db.begin((tx) => cancelMoveElsewhere(tx, reserved));
  else if (what > 7) {
    await db.begin(async (tx) => {
      const outcome = await commitMove(tx, reserved);
      if (outcome.kind !== 'committed') return;
      const { accountId, moveId } = reserved;
      await oweDeliveries(tx, registeredPlatforms, { accountIds: [accountId], cause: 'move', moveId, budgeted: true });
    });
  }
}

async function pause(batches: readonly string[]): Promise<void> {
  for (const batch of batches) await db.begin((tx) => pauseMoveBatch(tx, batch, 'test'));
}

async function resume(batches: readonly string[]): Promise<void> {
  for (const batch of batches) await db.begin((tx) => resumeMoveBatch(tx, batch));
}

interface Happening {
  readonly what: keyof typeof happenings;
  readonly device: number;
  /** Which variant of it, 0 to 10. */
  readonly how: number;
}

const newCommand = () => ({ commandId: newId<never>(), requestType: 'RemoveProfile', body: Buffer.from('body') });

const happenings = {
  authenticate: (_, device) => scene.authenticate(device),
  token: (_, device) => scene.updateToken(device),
  leave: (_, device, how) => (how === 0 ? scene.send(device, 'CheckOut') : scene.updateToken(device)),
  owe: (_, { deviceId }, how) =>
    oweDeliveries(db, registeredPlatforms, { deviceIds: [deviceId], cause: 'manual', budgeted: how % 2 === 0 }),
  release: (_, _device, how) =>
    release(how % 5 === 4 ? there : here, how < 8 ? 'send' : how === 8 ? 'superseded' : 'failed'),
  come: (world, device) => come(world, device, 'idle'),
  answer: (world, device, how) => come(world, device, statuses[how % statuses.length] ?? 'idle'),
  silence: (_, _device, how) => fallSilent(how),
  cancel: (_, { deviceId }, how) => db.begin((tx) => cancelCommands(tx, { deviceId }, { handedOut: how % 2 === 0 })),
  requeue: (_, { deviceId }) => db.begin((tx) => requeueCommands(tx, { deviceId })),
  lock: (_, { deviceId }) =>
    db.begin((tx) => queueCommand(tx, { ...newCommand(), deviceId, requestType: 'DeviceLock', urgent: true })),
  remove: (_, { deviceId }, how) =>
    db.begin((tx) => removeDevice(tx, { deviceId, tell: how !== 0, command: newCommand() })),
  'finish removals': () => db.begin((tx) => finishRemovals(tx, here)),
  suspend: () => db.begin((tx) => suspendEarlier(tx, here, { authenticatedWithinMinutes: 5 })),
  'take back': (_, { deviceId }) => db.begin((tx) => takeBack(tx, deviceId)),
  'owe again': () => oweRefusedPolicies(db, here, 0),
  retry: () => db.begin((tx) => oweAgainAfter(tx, tx`select id from account_move`)),
  trim: () => trimCommands(db, here, 0, 10),
  move: (world, _device, how) => move(world, how),
  pause: (world, _device, how) => (how % 2 === 0 ? pause(world.batches.slice(-1)) : resume(world.batches)),
} satisfies Record<string, (world: World, device: DeviceFixture, how: number) => Promise<unknown>>;

/** Of those that happen more often than the others, so that they meet. */
const often: Partial<Record<keyof typeof happenings, number>> = {
  owe: 3,
  release: 4,
  come: 5,
  answer: 6,
  silence: 2,
  move: 5,
};

async function carryOut(world: World, { what, device, how }: Happening): Promise<void> {
  await happenings[what](world, world.devices[device] as DeviceFixture, how);
}

/** The steps of one device, each with its variant. */
const course = (...steps: readonly string[]): [Happening[]] => [
  steps.flatMap((some) =>
    some.split(', ').map((step) => {
      const [, what = '', how = '0'] = /^(.*?)(?: (\d+))?$/.exec(step) ?? [];
      assert.ok(what in happenings, step);
      return { what: what as Happening['what'], device: 0, how: Number(how) };
    }),
  ),
];

/** Variants of an answer. */
const [done, failed, later] = [1, 2, 3];

/** Together they take every transition that can be taken here, however the random ones go. */
const courses = [
  // Refused, put off and taken back, with a slot and without, then superseded and given up.
  course(
    `owe 1, release, come, answer ${failed}, answer ${later}, come, answer`,
    `come, answer ${done}, answer ${done}, answer ${done}, come, answer ${done}`,
    'owe, release, come, silence, silence 4, come, cancel, owe, release 8, owe, release 10',
  ),
  // Answered after the command was taken back, and after it was put off.
  ...[done, failed, later].flatMap((answer) => [
    course(`lock, come, requeue, answer ${answer}`),
    course(`lock, come, answer ${later}, answer ${answer}`),
  ]),
  course(`lock, come, answer ${later}, requeue`),
  course(`lock, come, answer ${later}, cancel`),
  course(`owe 1, release, come, requeue, answer ${done}, requeue, answer ${failed}`),
  course(`owe, release, come, silence, answer ${done}, silence, answer ${failed}`),
  course('authenticate, remove'),
  // Moves that are made, under the fence and at the first try.
  course('move, pause, pause 1, move 8, move 9, move 4'),
  // Withdrawn: before anybody tried, of a paused batch that is turned back, reserved, and under the fence.
  course('move, move 2, move, pause, move 3'),
  course('move, move 5, move 2, move, move 4, move 2'),
  // Given up after three tries, without the fence and under it.
  course('move, move 10, move 1, move 10, move 1, move 10'),
  course('move, move 6, move 1, move 6, move 1, move 6'),
  // Refused after a move, and owed again.
  course('move, move 9, move 9, release 9, retry'),
  // Taken over from a runner that died under the fence.
  course('move, move 4, move 1, move 5'),
];

async function whatIsOpen(): Promise<Record<string, number>> {
  const [open] = await db<Record<string, number>[]>`
    select (select count(*)::int from device where state <> 'gone') as device,
           (select count(*)::int from command where state not in ('acknowledged', 'error', 'cancelled')) as command,
           (select count(*)::int from delivery where state not in ('done', 'failed', 'superseded')) as delivery,
           (select count(*)::int from account_move where state not in ('closed', 'rolled-back', 'cancelled')) as move,
           (select count(*)::int from move_batch where state <> 'done') as batch,
           (select count(*)::int from delivery_permit where delivery_id is not null) as permits`;
  return { ...open };
}

/** Devices that are there answer, those that are not are removed, moves are tried again: then nothing is open any more. */
async function bringToAnEnd(world: World): Promise<void> {
  await resume(world.batches);
  for (let round = 0; round < 30 && (round === 0 || (await whatIsOpen())['move'] !== 0); round++) {
    await move(world, 1);
    await move(world, 8);
    for (const instance of [here, there]) await release(instance, 'send');
    for (const device of world.devices) {
      let more = await come(world, device, 'idle');
      for (let tries = 0; more && tries < 40; tries++) more = await come(world, device, 'done');
    }
    await fallSilent(4);
  }
  for (const { deviceId } of world.devices) {
    await db.begin((tx) => removeDevice(tx, { deviceId, tell: false, command: newCommand() }));
  }
  await db.begin((tx) => settleMoves(tx, 'all'));
}

const happening: fc.Arbitrary<Happening> = fc.record({
  what: fc.oneof(
    ...(Object.keys(happenings) as Happening['what'][]).map((what) => ({
      ...{ weight: often[what] ?? 1, arbitrary: fc.constant(what) },
    })),
  ),
  device: fc.nat(2),
  how: fc.nat(10),
});

test('no order of events takes a row where its machine does not go, and from wherever it is there is an end', {
  timeout: 300_000,
}, async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { minLength: 40, maxLength: 120 }), async (happenings) => {
      const world = await newWorld(run++);
      for (const device of world.devices.slice(0, 2)) {
        await scene.authenticate(device);
        await scene.updateToken(device);
      }
      for (const each of happenings) await carryOut(world, each);
      await assertWithin();
      await bringToAnEnd(world);
      await assertWithin();
      assert.deepEqual(await whatIsOpen(), { device: 0, command: 0, delivery: 0, move: 0, batch: 0, permits: 0 });
    }),
    {
      numRuns: courses.length + 14,
      endOnFailure: true,
      examples: courses,
      ...endingWithin(),
    },
  );
  for (const [table, machine] of Object.entries(machines)) {
    const all = Object.entries(machine.transitions).flatMap(([from, to]) =>
      (to as readonly string[]).map((state) => `${from} → ${state}`),
    );
    const missing = all.filter((transition) => !noted.get(table)?.has(transition));
    assert.deepEqual(missing, notHere[table as keyof typeof machines] ?? [], table);
  }
});
