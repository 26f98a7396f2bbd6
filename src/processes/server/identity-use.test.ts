import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { seedDevice, seedDomain } from '../../devices/device-fixture.ts';
import { maxKept } from '../../devices/repeated-messages.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { createIdentityUse } from './identity-use.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const { here } = await seedDomain(db, '1.1.0');
after(async () => await db.end());

function useAt(now: { ms: number }) {
  const clock = { now: () => now.ms, sleep: async () => undefined };
  return createIdentityUse({ db, instanceId: here, features: ownFeatures, clock });
}
const digest = (n: number) => Buffer.alloc(16, n);

test('the TLS of a day is written once, however often a device comes, and again on the next day', async () => {
  const now = { ms: Date.UTC(2026, 10, 25, 12) };
  const use = useAt(now);
  const { deviceId } = await seedDevice(db, here, 'daily');
  const version = async () => (await db`select xmin::text from device where id = ${deviceId}`)[0]?.['xmin'];
  const contacts = async () => {
    for (let contact = 0; contact < 3; contact++) {
      use.usedTls(deviceId);
      await use.flush();
    }
  };
  await contacts();
  const written = await version();
  await contacts();
  assert.equal(await version(), written);
  await db`update device set tls_day = tls_day - 1 where id = ${deviceId}`;
  now.ms += 24 * 3_600_000;
  await contacts();
  const [row] = await db`select tls_days from device where id = ${deviceId}`;
  assert.equal(row?.['tls_days'], 2);
});

test('TLS cannot be required before every component knows of it, and from then on it can', async () => {
  const use = useAt({ ms: 0 });
  assert.equal(await use.tlsCanBeRequired(), false);
  await db`update domain set feature_level = '1.2.0'`;
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('server-old', 'server', 'h', 'b', 1, '1.1.0', '{1}', '{}', now())`;
  assert.equal(await use.tlsCanBeRequired(), false, 'an absent one counts too');
  await db`delete from component`;
  assert.equal(await use.tlsCanBeRequired(), true);
});

test('one device that signs anew with every message takes a bounded place, in memory and in the database', async () => {
  const use = useAt({ ms: 0 });
  const { deviceId } = await seedDevice(db, here, 'many');
  for (let message = 0; message < 10 * maxKept; message++) use.signedOnly(deviceId, digest(message % 256));
  await use.flush();
  const [row] =
    await db`select cardinality(digests) as kept, repeats::int from device_repeat where device_id = ${deviceId}`;
  assert.deepEqual({ ...row }, { kept: maxKept, repeats: 0 });
});
