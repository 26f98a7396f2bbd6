/** How many devices there are, by state. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { seedDevice, seedDomain } from './device-fixture.ts';
import { countDevicesByState, listDevices } from './device-list.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test' });
after(async () => await db.end());
const { here } = await seedDomain(db);

test('devices are counted in the states under which they are listed, without those that are gone', async () => {
  const names = ['active-1', 'active-2', 'leaving', 'offered', 'suspended', 'gone'] as const;
  const [, , leaving, offered, suspended, gone] = await Promise.all(names.map((name) => seedDevice(db, here, name)));
  await db`update device set removing_since = now() where id = ${leaving?.deviceId ?? ''}`;
  await db`update device set state = 'offered' where id = ${offered?.deviceId ?? ''}`;
  await db`update device set state = 'authenticated', suspended_at = now() where id = ${suspended?.deviceId ?? ''}`;
  await db`update device set state = 'gone' where id = ${gone?.deviceId ?? ''}`;
  const counts = await countDevicesByState(db);
  assert.deepEqual(counts, [
    { state: 'active', count: 2 },
    { state: 'leaving', count: 1 },
    { state: 'offered', count: 1 },
    { state: 'suspended', count: 1 },
  ]);
  for (const { state, count } of counts) {
    assert.equal((await listDevices(db, { state, limit: 10, accounts: {}, sort: 'id' })).devices.length, count, state);
  }
});
