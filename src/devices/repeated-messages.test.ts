import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { type DeviceFixture, seedDevice, seedDomain } from './device-fixture.ts';
import { maxKept, storeSignedMessages } from './repeated-messages.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());

const digest = (n: number) => Buffer.from(String(n).padStart(16, '0'));
const send = (device: DeviceFixture, numbers: readonly number[], repeats = 0, instanceId = here) =>
  storeSignedMessages(db, instanceId, [{ deviceId: device.deviceId, digests: numbers.map(digest), repeats }]);
async function counted(device: DeviceFixture) {
  const [row] = await db<{ digests: Buffer[]; repeats: string; repeatedAt: Date | null }[]>`
    select digests, repeats, repeated_at as "repeatedAt" from device_repeat where device_id = ${device.deviceId}`;
  return row && { kept: row.digests.map(Number), repeats: Number(row.repeats), repeated: row.repeatedAt !== null };
}

test('what comes again is counted, what is new is kept, and no more than so many', async () => {
  const device = await seedDevice(db, here, 'counted');
  await send(device, [1, 2, 3]);
  assert.deepEqual(await counted(device), { kept: [1, 2, 3], repeats: 0, repeated: false });
  await send(device, [2, 4]);
  assert.deepEqual(await counted(device), { kept: [1, 3, 2, 4], repeats: 1, repeated: true });
  await send(device, [5], 7);
  assert.equal((await counted(device))?.repeats, 8);
  const many = Array.from({ length: maxKept }, (_, n) => 100 + n);
  await send(device, many);
  assert.deepEqual((await counted(device))?.kept, many);
});

test('messages of several devices are counted each for its own device, and only by the owner', async () => {
  const [one, two, far] = [
    await seedDevice(db, here, 'one'),
    await seedDevice(db, here, 'two'),
    await seedDevice(db, there, 'far'),
  ];
  for (let round = 0; round < 2; round++) {
    await storeSignedMessages(
      db,
      here,
      [one, two, far].map(({ deviceId }, n) => ({ deviceId, digests: [digest(round === 0 ? 7 : 7 + n)], repeats: 0 })),
    );
  }
  assert.deepEqual([(await counted(one))?.repeats, (await counted(two))?.repeats], [1, 0]);
  assert.equal(await counted(far), undefined);
});
