/**
 * Identities that 1.1 issued, and goes on issuing on the expanded schema, beside what 1.2 keeps of renewals; and that no delivery
 * that 1.1 does not know is there before its checks go.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { sqlState } from '../../src/database/sql-state.ts';
import { oweRenewals } from '../../src/deliveries/owe-renewals.ts';
import { seedDevice, seedDomain } from '../../src/devices/device-fixture.ts';
import { identitySettingsSchema } from '../../src/domain/identity-settings.ts';
import { migrationFolder } from '../../src/release/program.ts';

const applicationName = 'bramble/test';

/** As 1.1.0 writes an identity, the first one or one that replaces it. */
const release11 = {
  identity: `
    update device d set scep_transaction = $2, identity_key = $3, identity_certificate = $4, identity_fingerprint = $5,
      identity_expires_at = now() + make_interval(days => $6)
    where d.id = $1 returning d.id`,
  open: `select item from delivery where device_id = $1 and state in ('owed', 'released', 'handed-out', 'suspect')`,
} as const;

test('identities of 1.1 are due by their end alone, and their renewal is owed only once its checks are gone', async () => {
  const { url } = await createEarlierTestDatabase(8);
  const db = openDatabase(url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  const { here } = await seedDomain(db);
  const device = await seedDevice(db, here, 'renewed');
  const certify = async (print: string, days: number) => {
    const bytes = Buffer.from(print);
    const rows = await db.unsafe(release11.identity, [device.deviceId, 'x', bytes, bytes, print, days]);
    assert.equal(rows.length, 1);
  };
  const due = async () => {
    const [row] = await db<{ due: boolean }[]>`
      select identity_renewal_due(id, identity_issued_at, identity_expires_at) <= extract(epoch from now()) as due
        from device where id = ${device.deviceId}`;
    return row?.due;
  };
  const settings = identitySettingsSchema.parse({});
  await certify('before', 90);
  const step = { folder: migrationFolder(), release: '1.2.0', applicationName };
  await migrate(url, { ...step, contract: false });
  assert.equal(await due(), true);
  await certify('beside', 365);
  assert.equal(await due(), false);
  // 1.1 knows no date of issue: one that 1.2 wrote stays, and makes the identity due sooner, never later.
  await certify('replaced', 130);
  assert.equal(await due(), false);
  await db`update device set identity_issued_at = now() - interval '500 days'`;
  assert.equal(await due(), true);
  const plan = await db<{ 'QUERY PLAN': string }[]>`
    explain (verbose, costs off) select identity_renewal_due(id, identity_issued_at, identity_expires_at) from device`;
  assert.doesNotMatch(plan.map((line) => line['QUERY PLAN']).join('\n'), /identity_renewal_due\(/, 'it is inlined');

  assert.equal(await oweRenewals(db, here, settings, 10), 0);
  const insert = db`
    insert into delivery (id, account_id, device_id, item, cause, budgeted)
    values (gen_random_uuid(), ${device.accountId}, ${device.deviceId}, 'device-identity', 'manual', true)`;
  await assert.rejects(insert, (error) => sqlState(error) === '23514');
  await migrate(url, { ...step, contract: true });
  assert.equal(await oweRenewals(db, here, settings, 10), 1);
  const open = await db.unsafe(release11.open, [device.deviceId]);
  assert.deepEqual([...open], [{ item: 'device-identity' }]);
  const named = await db`
    select conname from pg_constraint where conrelid = 'delivery'::regclass and contype = 'c'
       and pg_get_constraintdef(oid) ~ 'synchronization|policy-change'`;
  assert.deepEqual([...named], [], 'what a later release adds meets no check of this one');
});
