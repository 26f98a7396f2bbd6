/**
 * Enrolments of 1.1 on the schema of 1.2: its statements, as 1.1.0 sends them, beside suspended enrolments; and pairs of one
 * UDID that it left, of which the earlier was owed deliveries for ever.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InstanceId } from '../../src/base/ids.ts';
import { type Database, openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { oweDeliveries } from '../../src/deliveries/owe-deliveries.ts';
import { type DeviceFixture, seedDevice, seedDomain } from '../../src/devices/device-fixture.ts';
import { findDeviceByToken } from '../../src/devices/device-store.ts';
import { endSuspended, suspendEarlier } from '../../src/devices/suspension.ts';
import { createMoveBatch } from '../../src/moves/batch-store.ts';
import { runMoveRound } from '../../src/moves/move-round-fixture.ts';
import type { MoveRunnerOptions } from '../../src/moves/move-runner.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { migrationFolder } from '../../src/release/program.ts';

const applicationName = 'bramble/test';
const limited = { timeout: 60_000 };

/** As 1.1.0 takes Authenticate and TokenUpdate, owes deliveries, and answers connects. */
const release11 = {
  end: `update device set state = 'gone' where id = $1`,
  authenticate: `
    update device
       set state = 'authenticated', udid = $2, enrollment_id = null, topic = 't', serial_number = null, model = null,
           product = null, os_version = '18.1', software_version = null, unlock_token = null, unlock_token_key = null,
           bootstrap_token = null, bootstrap_token_key = null, push_token = null, push_magic = null,
           last_seen_at = clock_timestamp(),
           options = coalesce((select e.options from device e where e.id = null), options)
     where id = $1`,
  updateToken: `
    update device d
       set state = 'active', topic = 't', push_token = 'x', push_magic = 'm', push_state = 'ok',
           last_seen_at = clock_timestamp(), unlock_token = coalesce(null, d.unlock_token),
           unlock_token_key = coalesce(null, d.unlock_token_key)
      from device old
     where d.id = $1 and old.id = d.id and d.state in ('authenticated', 'active')
    returning old.state as before`,
  active: `select id from device d where d.id = $1 and d.state = 'active'`,
} as const;

interface Scene {
  url: string;
  db: Database;
  here: InstanceId;
  there: InstanceId;
  /** A device whose newest message was so many hours ago. */
  device(name: string, hoursAgo: number): Promise<DeviceFixture>;
}

async function oldDatabase(): Promise<Scene> {
  const { url } = await createEarlierTestDatabase(8);
  const db = openDatabase(url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  const { here, there } = await seedDomain(db);
  return {
    ...{ url, db, here, there },
    device: async (name, hoursAgo) => {
      const device = await seedDevice(db, here, name);
      await db`
        update device set created_at = now() - make_interval(hours => ${hoursAgo + 1}), push_token = 'x', push_magic = 'm',
               last_seen_at = now() - make_interval(hours => ${hoursAgo}) where id = ${device.deviceId}`;
      return device;
    },
  };
}

async function expand({ url }: Scene): Promise<void> {
  await migrate(url, { folder: migrationFolder(), release: '1.2.0', contract: false, applicationName });
}

async function stateOf({ db }: Scene, device: DeviceFixture): Promise<string> {
  const found = await findDeviceByToken(db, device.token);
  assert.ok(found !== 'not-found');
  return found.suspended ? 'suspended' : found.state;
}

async function nameAlike({ db }: Scene, device: DeviceFixture, as: DeviceFixture): Promise<void> {
  await db`update device set udid = ${as.enrolment} where id = ${device.deviceId}`;
}

test('of a pair that 1.1 left the silent one is suspended, the one that was heard is named', limited, async () => {
  const scene = await oldDatabase();
  const [phantom, newcomer] = [await scene.device('phantom', 200), await scene.device('newcomer', 100)];
  await nameAlike(scene, newcomer, phantom);
  const [earlier, later] = [await scene.device('earlier', 200), await scene.device('later', 100)];
  await nameAlike(scene, later, earlier);
  await expand(scene);
  await scene.db`update device set last_seen_at = now() where id = ${earlier.deviceId}`;
  await scene.db.begin((tx) => suspendEarlier(tx, scene.here, { from: null, to: null }));
  const states = await Promise.all([phantom, newcomer, earlier, later].map((device) => stateOf(scene, device)));
  assert.deepEqual(states, ['suspended', 'active', 'active', 'active']);
  const events = await scene.db`select kind, subject from event order by kind`;
  assert.deepEqual(
    events.map((event) => [event['kind'], event['subject']]),
    [
      ['device-contested', earlier.deviceId],
      ['device-suspended', phantom.deviceId],
    ],
  );
});

test(
  '1.1 neither owes anything to a suspended enrolment nor serves it, and its TokenUpdate brings it back',
  limited,
  async () => {
    const scene = await oldDatabase();
    await expand(scene);
    const [suspended, newcomer] = [await scene.device('suspended', 200), await scene.device('newcomer', 100)];
    await nameAlike(scene, newcomer, suspended);
    await scene.db.begin((tx) => suspendEarlier(tx, scene.here, { from: null, to: null }));
    assert.equal((await scene.db.unsafe(release11.active, [suspended.deviceId])).length, 0);
    const owed = await oweDeliveries(scene.db, registeredPlatforms, {
      deviceIds: [suspended.deviceId],
      cause: 'manual',
      budgeted: false,
    });
    assert.equal(owed.length, 0);
    const [updated] = await scene.db.unsafe(release11.updateToken, [suspended.deviceId]);
    assert.equal(updated?.['before'], 'authenticated');
    assert.equal(await stateOf(scene, suspended), 'active', 'active is active, whatever else the row says');
  },
);

/** Moves the accounts of `devices` to the instance `there`, as the coordinator does, with what it owes. */
async function moveThere({ db, there }: Scene, devices: readonly DeviceFixture[]): Promise<void> {
  const moves = devices.map(({ accountId }) => ({ accountId, toInstanceId: there }));
  await db.begin((tx) => createMoveBatch(tx, { purpose: 'reverse', createdBy: 'test', moves }));
  const options: MoveRunnerOptions = {
    ...{ db, release: '1.0.0', name: 'test', log: { info: () => {}, warn: () => {} } },
    oweDeliveries: (tx, { accountId, moveId }) =>
      oweDeliveries(tx, registeredPlatforms, { accountIds: [accountId], cause: 'move', moveId, budgeted: true }),
    drainWindow: async () => 100,
  };
  assert.equal((await runMoveRound(options)).moved, devices.length);
}

/** Enrolments whose UDID others named at an instance of 1.2, one of them before it had a push token. */
async function suspendedScene(): Promise<{ scene: Scene; suspended: DeviceFixture; unfinished: DeviceFixture }> {
  const scene = await oldDatabase();
  await expand(scene);
  const [suspended, unfinished] = [await scene.device('suspended', 200), await scene.device('unfinished', 200)];
  await scene.db.unsafe(release11.authenticate, [unfinished.deviceId, unfinished.enrolment]);
  await scene.db`
    update device set last_seen_at = now() - interval '200 hours' where id = ${unfinished.deviceId}`;
  for (const earlier of [suspended, unfinished]) {
    await nameAlike(scene, await scene.device(`again-${earlier.token}`, 100), earlier);
  }
  await scene.db.begin((tx) => suspendEarlier(tx, scene.here, { from: null, to: null }));
  for (const device of [suspended, unfinished]) assert.equal(await stateOf(scene, device), 'suspended');
  return { scene, suspended, unfinished };
}

test(
  'back at an instance of 1.1 a suspended enrolment is active, served and owed to; none that was not',
  limited,
  async () => {
    const { scene, suspended, unfinished } = await suspendedScene();
    await moveThere(scene, [suspended, unfinished]);
    assert.equal((await scene.db.unsafe(release11.active, [suspended.deviceId])).length, 1);
    assert.equal((await scene.db.unsafe(release11.active, [unfinished.deviceId])).length, 0);
    const owed = await scene.db`select distinct device_id as id from delivery where state = 'owed'`;
    assert.deepEqual(
      owed.map(({ id }) => id),
      [suspended.deviceId],
    );
    const [updated] = await scene.db.unsafe(release11.updateToken, [unfinished.deviceId]);
    assert.equal(updated?.['before'], 'authenticated', 'its own TokenUpdate makes it active, as ever');
  },
);

test('a move to an instance of 1.2, or once 1.2 is finalized, leaves it suspended', limited, async () => {
  for (const change of ['instance', 'level'] as const) {
    const { scene, suspended } = await suspendedScene();
    if (change === 'level') await scene.db`update domain set feature_level = '1.2.0'`;
    else {
      await scene.db`
        insert into desired_process (name, kind, host, release, state)
        values ('there', 'server', 'host', '1.2.0', 'running')`;
    }
    await moveThere(scene, [suspended]);
    assert.equal(await stateOf(scene, suspended), 'suspended', change);
  }
});

test('a row that 1.1 authenticates anew is not ended by what it was suspended for once', limited, async () => {
  const scene = await oldDatabase();
  await expand(scene);
  const device = await scene.device('anew', 1);
  await scene.db`update device set suspended_at = now() - interval '90 days' where id = ${device.deviceId}`;
  await scene.db.unsafe(release11.authenticate, [device.deviceId, device.enrolment]);
  assert.equal(await scene.db.begin((tx) => endSuspended(tx, scene.here)), 0);
  await scene.db.unsafe(release11.updateToken, [device.deviceId]);
  assert.equal(await stateOf(scene, device), 'active');
  await scene.db.unsafe(release11.end, [device.deviceId]);
  assert.equal(await stateOf(scene, device), 'gone');
});
