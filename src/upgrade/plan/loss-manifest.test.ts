import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { listAccountTables, lossesOf } from './loss-manifest.ts';

test('every table with an account’s data in the schema of this release has its mark, and one without is named', async () => {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 1 });
  after(async () => await db.end({ timeout: 5 }));
  assert.deepEqual(lossesOf(await listAccountTables(db)), []);
  await db`create table of_nobody (account_id uuid)`;
  assert.deepEqual(
    lossesOf(await listAccountTables(db)).map(({ what }) => what),
    ['the table of_nobody'],
  );
});
