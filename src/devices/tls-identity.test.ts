import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { type DeviceFixture, seedDevice, seedDomain } from './device-fixture.ts';
import { findDeviceByToken } from './device-store.ts';
import { clearTlsIdentities, clearTlsIdentity, recordTlsDays, tlsDaysUntilRequired } from './tls-identity.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());
const limited = { timeout: 30_000 };

const note = (device: DeviceFixture, require = true, instanceId = here) =>
  recordTlsDays(db, instanceId, [device.deviceId], require);
const tomorrow = (device: DeviceFixture) => db`update device set tls_day = tls_day - 1 where id = ${device.deviceId}`;
async function required(device: DeviceFixture): Promise<boolean> {
  const found = await findDeviceByToken(db, device.token);
  assert.ok(found !== 'not-found');
  return found.tlsRequired;
}

test('TLS on three separate days is required from then on; a day counts once', limited, async () => {
  const device = await seedDevice(db, here, 'days');
  for (let day = 1; day <= tlsDaysUntilRequired; day++) {
    assert.equal(await required(device), false, `before day ${day}`);
    for (let contact = 0; contact < 5; contact++) assert.deepEqual(await note(device), [device.deviceId]);
    if (day < tlsDaysUntilRequired) await tomorrow(device);
  }
  assert.equal(await required(device), true);
  const [row] = await db`select tls_required_at from device where id = ${device.deviceId}`;
  await tomorrow(device);
  await note(device);
  assert.deepEqual(
    (await db`select tls_required_at from device where id = ${device.deviceId}`)[0],
    row,
    'and stays so',
  );
});

test('before the feature is active days count, but nothing is required; afterwards at once', limited, async () => {
  const device = await seedDevice(db, here, 'feature');
  for (let day = 0; day < 10; day++) {
    await note(device, false);
    await tomorrow(device);
  }
  await note(device, false);
  assert.equal(await required(device), false);
  await note(device, true);
  assert.equal(await required(device), true);
});

test('only the owner counts, and not under a move', limited, async () => {
  const device = await seedDevice(db, here, 'owner');
  assert.deepEqual(await note(device, true, there), []);
  await db`
    insert into account_mark (account_id, move_id, until)
    values (${device.accountId}, gen_random_uuid(), now() + interval '1 hour')`;
  assert.deepEqual(await note(device), []);
  const [row] = await db`select tls_days, tls_day from device where id = ${device.deviceId}`;
  assert.deepEqual({ ...row }, { tls_days: 0, tls_day: null });
});

test('what is cleared needs three more days', limited, async () => {
  const devices = [await seedDevice(db, here, 'clear-1'), await seedDevice(db, here, 'clear-2')];
  const [one, two] = devices as [DeviceFixture, DeviceFixture];
  const requireAll = () => db`update device set tls_days = 3, tls_day = current_date, tls_required_at = now()`;
  await requireAll();
  assert.equal(await db.begin((tx) => clearTlsIdentity(tx, one.deviceId)), 'cleared');
  assert.deepEqual([await required(one), await required(two)], [false, true]);
  await note(one);
  assert.equal(await required(one), false);
  await requireAll();
  assert.equal(await db.begin((tx) => clearTlsIdentities(tx, 1)), 1);
  while ((await db.begin((tx) => clearTlsIdentities(tx, 1))) > 0);
  assert.deepEqual([await required(one), await required(two)], [false, false]);
});
