/** What an instance finds in its sweep: enrolments that were heard at a tunnel, and pairs that it was not told of. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { createAnnouncementScene } from '../../devices/announcements-fixture.ts';
import { recordHeard } from '../../devices/device-certificates.ts';
import { type DeviceFixture, seedDomain } from '../../devices/device-fixture.ts';
import { createEnrolmentUpkeep } from './enrolment-upkeep.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
const { here } = await seedDomain(db);
after(async () => await db.end());
const limited = { timeout: 30_000 };
const { options, returned, enrolled, newDevice, authenticate, updateToken } = createAnnouncementScene(db, here);
const failures: unknown[] = [];
const log = { error: (fields: unknown) => failures.push(fields) } as never;
const upkeepOf = (devicesOfPage: number) =>
  createEnrolmentUpkeep({ announcements: options, clock: systemClock, log, devicesOfPage });

const stateOf = async (device: DeviceFixture) => {
  const { state, suspended } = await enrolled(device);
  return suspended ? 'suspended' : state;
};

/** An active device, silent since before the one that names its UDID. */
async function suspendedDevice(name: string): Promise<DeviceFixture> {
  const device = await newDevice(name);
  await authenticate(device);
  await updateToken(device);
  await db`
    update device set last_seen_at = now() - interval '1 day', created_at = now() - interval '1 day',
           authenticated_at = now() - interval '1 day' where id = ${device.deviceId}`;
  await authenticate({ ...(await newDevice(`${name}-again`)), enrolment: device.enrolment });
  assert.equal(await stateOf(device), 'suspended');
  return device;
}

test(
  'a suspended enrolment whose certificate opened a tunnel is active at the next look; one that was silent is not',
  limited,
  async () => {
    const [heard, silent] = [await suspendedDevice('heard'), await suspendedDevice('silent')];
    for (let tunnel = 0; tunnel < 3; tunnel += 1) await recordHeard(db, heard.fingerprint);
    const noted = await db`select device_id as id, xmin from device_heard`;
    assert.deepEqual(
      noted.map(({ id }) => id),
      [heard.deviceId],
    );
    await recordHeard(db, heard.fingerprint);
    assert.deepEqual(
      await db`select device_id as id, xmin from device_heard`,
      noted,
      'written once for each suspension',
    );
    const upkeep = upkeepOf(100);
    await upkeep.turn();
    assert.deepEqual(
      [await stateOf(heard), await stateOf(silent), returned],
      ['active', 'suspended', [heard.deviceId]],
    );
    await recordHeard(db, heard.fingerprint);
    await upkeep.turn();
    assert.deepEqual(returned, [heard.deviceId], 'once');
    await authenticate({ ...(await newDevice('heard-3')), enrolment: heard.enrolment });
    await upkeep.turn();
    assert.equal(await stateOf(heard), 'suspended', 'what was heard before it was suspended anew says nothing');
    assert.deepEqual(failures, []);
  },
);

test('pairs that no newcomer of late tells of are found page by page, and the pass begins anew', limited, async () => {
  const upkeep = upkeepOf(2);
  for (const round of [1, 2]) {
    const [earlier, later] = [await newDevice(`left-${round}`, 'active'), await newDevice(`later-${round}`, 'active')];
    await db`
      update device set udid = ${earlier.enrolment}, authenticated_at = null, last_seen_at = now() - interval '9 days',
             created_at = now() - case when id = ${earlier.deviceId} then interval '9 days' else interval '8 days' end
       where id in (${earlier.deviceId}, ${later.deviceId})`;
    const [count] = await db<{ devices: number }[]>`select count(*)::int as devices from device`;
    const turns = Math.ceil((count?.devices ?? 0) / 2) + 1;
    for (let turn = 0; turn < turns; turn += 1) await upkeep.turn();
    assert.deepEqual([await stateOf(earlier), await stateOf(later)], ['suspended', 'active'], `pass ${round}`);
  }
  assert.deepEqual(failures, []);
});

test(
  'a page that cannot be gone through, since a row of it is held, keeps no other page from its turn',
  limited,
  async () => {
    const pairs = [];
    for (const name of ['held', 'free']) {
      const pair = [await newDevice(`${name}-1`, 'active'), await newDevice(`${name}-2`, 'active')] as const;
      await db`
      update device set udid = ${pair[0].enrolment}, authenticated_at = null, last_seen_at = now() - interval '9 days',
             created_at = now() - case when id = ${pair[0].deviceId} then interval '9 days' else interval '8 days' end
       where id in (${pair[0].deviceId}, ${pair[1].deviceId})`;
      pairs.push(pair);
    }
    // The pass comes to a page of the held one first.
    const firstOf = (pair: readonly DeviceFixture[]) => pair.map(({ deviceId }) => deviceId).toSorted()[0] ?? '';
    const [held, free] = pairs.toSorted((a, b) => (firstOf(a) < firstOf(b) ? -1 : 1)).map(([earlier]) => earlier);
    assert.ok(held && free);
    await db.begin(async (tx) => {
      await tx`select from device where id = ${held.deviceId} for update`;
      const upkeep = upkeepOf(1);
      const [count] = await tx<{ devices: number }[]>`select count(*)::int as devices from device`;
      for (let turn = 0; turn <= (count?.devices ?? 0); turn += 1) await upkeep.turn();
    });
    assert.ok(failures.length > 0);
    assert.deepEqual([await stateOf(held), await stateOf(free)], ['active', 'suspended']);
  },
);
