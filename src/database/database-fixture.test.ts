import assert from 'node:assert/strict';
import { test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from './database-fixture.ts';

const first = await createTestDatabase();

test('a test database holds the migrated tables', async (t) => {
  const sql = postgres(first.url, { max: 1 });
  t.after(async () => await sql.end());
  const [row] = await sql`select to_regclass('desired_process') is not null as present`;
  assert.equal(row?.['present'], true);
});

test('two test databases share nothing', async (t) => {
  const second = await createTestDatabase();
  assert.notEqual(second.name, first.name);
  const sql = postgres(first.url, { max: 1 });
  const other = postgres(second.url, { max: 1 });
  t.after(async () => await Promise.all([sql.end(), other.end()]));
  await sql`create table only_here (n integer)`;
  const [row] = await other`select to_regclass('only_here') is null as absent`;
  assert.equal(row?.['absent'], true);
});

test('a template with a key of its own is filled once', async () => {
  let fills = 0;
  const options = { templateKey: `key-${first.name}`, prepareTemplate: async () => void fills++ };
  await Promise.all([createTestDatabase(options), createTestDatabase(options)]);
  assert.equal(fills, 1);
});
