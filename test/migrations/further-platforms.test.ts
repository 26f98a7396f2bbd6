/** A device of a platform that 1.2 does not know can be stored only once no component of 1.2 is left. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { sqlState } from '../../src/database/sql-state.ts';
import { seedDevice, seedDomain } from '../../src/devices/device-fixture.ts';
import { migrationFolder } from '../../src/release/program.ts';

const applicationName = 'bramble/test';

test('a further platform is refused until the contraction, a name that is none for ever', async () => {
  const { url } = await createEarlierTestDatabase(21);
  const db = openDatabase(url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  const { here } = await seedDomain(db);
  const device = await seedDevice(db, here, 'device');
  const become = (platform: string) => db`update device set platform = ${platform} where id = ${device.deviceId}`;
  const isRefused = async (platform: string) =>
    await assert.rejects(become(platform), (error) => sqlState(error) === '23514', platform);
  const step = { folder: migrationFolder(), release: '1.3.0', applicationName };

  await migrate(url, { ...step, contract: false });
  await become('agent');
  await isRefused('json');

  await migrate(url, { ...step, contract: true });
  await become('json');
  for (const odd of ['', 'Json', '1st', 'j son', 'j'.repeat(33)]) await isRefused(odd);
  const checks = await db`
    select conname, convalidated from pg_constraint where conrelid = 'device'::regclass and contype = 'c' and
      conname ~ '^device_platform'`;
  assert.deepEqual([...checks], [{ conname: 'device_platform_name', convalidated: true }]);
});
