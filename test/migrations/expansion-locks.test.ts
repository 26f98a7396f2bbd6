/**
 * Expansions run beside live traffic of the release before: what a migration does to a table of it in its transaction, everybody
 * waits for, so that nothing of it may take longer the more rows there are.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { readMigrations } from '../../src/database/migration-files.ts';
import { migrationFolder } from '../../src/release/program.ts';

const applicationName = 'bramble/test';

test('on tables of the release before, expansions build every index concurrently, and rewrite none', async () => {
  const { url } = await createEarlierTestDatabase(8);
  const db = openDatabase(url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  const relations = async () =>
    await db<{ name: string; table: string; kind: 'r' | 'i'; file: string }[]>`
      select c.relname as name, coalesce(t.relname, c.relname) as table, c.relkind as kind, pg_relation_filenode(c.oid)::text as file
        from pg_class c left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.oid = i.indrelid
       where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'i')`;
  const before = new Map((await relations()).map((relation) => [relation.name, relation]));

  await migrate(url, { folder: migrationFolder(), release: '1.2.0', contract: false, applicationName });

  const concurrent = new Set(
    (await readMigrations(migrationFolder())).flatMap(({ indexes }) => indexes.map(({ name }) => name)),
  );
  // The administration's own record of its migrations is no table of a release.
  const inUse = (await relations()).filter(({ table }) => before.has(table) && table !== 'migration');
  const built = inUse.filter(({ name, kind }) => kind === 'i' && !before.has(name));
  assert.deepEqual(
    built.filter(({ name }) => !concurrent.has(name)).map(({ name, table }) => `${name} on ${table}`),
    [],
  );
  assert.ok(built.length > 0);
  const rewritten = inUse.filter(({ name, file }) => (before.get(name)?.file ?? file) !== file);
  assert.deepEqual(
    rewritten.map(({ name }) => name),
    [],
  );
});
