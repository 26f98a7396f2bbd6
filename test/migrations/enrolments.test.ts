/**
 * Enrolments of 1.1 on the schema of 1.2: its statements, as 1.1.0 sends them, beside suspended enrolments; and pairs of one
 * UDID that it left, of which the earlier was owed deliveries for ever.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InstanceId } from '../../src/base/ids.ts';
import { type Database, openDatabase } from '../../src/database/connection.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createEarlierTestDatabase } from '../../src/database/test-database.ts';
import { type DeviceFixture, seedDevice, seedDomain } from '../../src/devices/device-fixture.ts';
import { findDeviceByToken } from '../../src/devices/device-store.ts';
import { endSuspended, suspendEarlier } from '../../src/devices/suspension.ts';
import { oweDeliveries } from '../../src/policy/delivery/owe-deliveries.ts';
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
  await scene.db.begin((tx) => suspendEarlier(tx, scene.here));
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
    await scene.db.begin((tx) => suspendEarlier(tx, scene.here));
    assert.equal((await scene.db.unsafe(release11.active, [suspended.deviceId])).length, 0);
    const owed = await oweDeliveries(scene.db, { deviceIds: [suspended.deviceId], cause: 'manual', budgeted: false });
    assert.equal(owed.length, 0);
    const [updated] = await scene.db.unsafe(release11.updateToken, [suspended.deviceId]);
    assert.equal(updated?.['before'], 'authenticated');
    assert.equal(await stateOf(scene, suspended), 'active', 'active is active, whatever else the row says');
  },
);

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
