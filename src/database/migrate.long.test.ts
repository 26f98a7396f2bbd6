import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '../testing/condition.ts';
import { advisoryLock, lockClass } from './advisory-locks.ts';
import { type Database, openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { type MigrateOptions, migrate } from './migrate.ts';
import { readMigrations } from './migration-files.ts';
import { untilOneWaits, watched } from './waiting-fixture.ts';

/** `die_at(n)` ends the session that calls it, once, where a test asked for it in `fault`. */
const first = `
create table domain (schema_version integer not null);
insert into domain values (0);
create table item (id integer primary key, doubled integer);
insert into item select n from generate_series(1, 10) n;
create table fault (at integer);
create function die_at(n integer) returns integer language plpgsql as $$
begin
  if exists (select 1 from fault where at = n) then perform pg_terminate_backend(pg_backend_pid()); end if;
  return n;
end $$;`;
const second = `
alter table item add column note text;
-- backfill, two rows at a time
update item set doubled = 2 * die_at(id) where id in (select id from item where doubled is null order by id limit 2);`;
const files = {
  '001-first.expand.sql': first,
  '002-second.expand.sql': second,
  '003-third.contract.sql': 'alter table item drop column note;',
  '004-fourth.expand.sql': 'create table fourth (n integer);',
};
type Files = Record<string, string>;

interface Scene {
  db: Database;
  url: string;
  /** Migrates with the named files of this release (all by default). */
  run(change?: Partial<MigrateOptions>, own?: Files): Promise<number>;
}

async function newScene(t: TestContext): Promise<Scene> {
  const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
  const db = openDatabase(url, { applicationName: 'test', max: 2 });
  t.after(async () => await db.end());
  return {
    db,
    url,
    run: async (change = {}, own = files) => {
      const folder = await sqlFolder(t, own);
      return await migrate(url, { folder, release: '1.0.0', contract: true, applicationName: 'migrator', ...change });
    },
  };
}

async function sqlFolder(t: TestContext, own: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-sql-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  await Promise.all(Object.entries(own).map(([name, text]) => writeFile(join(folder, name), text)));
  return folder;
}

function pick(count: number): Files {
  return Object.fromEntries(Object.entries(files).slice(0, count));
}

async function applied(db: Database) {
  const rows = await db<{ number: number; done: boolean }[]>`
    select number, backfilled_at is not null as done from migration order by number`;
  return rows.map((row) => `${row.number}${row.done ? '' : '?'}`).join(' ');
}

async function undoubled(db: Database): Promise<number> {
  return (await db`select 1 from item where doubled is null`).length;
}

/** A migrator that waits in vain is a failure, not a hang. */
const limited = { timeout: 20_000 };

/** The highest migration number applied, 0 for an empty database. */
async function schemaVersionOf(db: Database): Promise<number> {
  const [table] = await db<{ present: boolean }[]>`select to_regclass('migration') is not null as present`;
  if (!table?.present) return 0;
  const [row] = await db<{ version: number }[]>`select coalesce(max(number), 0)::int as version from migration`;
  return row?.version ?? 0;
}

test('an empty database gets every migration, once', limited, async (t) => {
  const { db, run } = await newScene(t);
  assert.equal(await schemaVersionOf(db), 0);
  assert.equal(await run(), 4);
  assert.equal(await applied(db), '1 2 3 4');
  assert.equal(await undoubled(db), 0);
  assert.equal(await schemaVersionOf(db), 4);
  const [domain] = await db`select schema_version as version from domain`;
  assert.equal(domain?.['version'], 4);
  const before = await db`select number, digest, applied_at, release, catalog_fingerprint from migration`;
  assert.ok(before.every((row) => row['catalog_fingerprint'] !== null));
  assert.equal(await run({ release: '1.1.0' }), 4);
  assert.deepEqual(await db`select number, digest, applied_at, release, catalog_fingerprint from migration`, before);
});

test('rival migrators at once apply each migration once', limited, async (t) => {
  const { db, run } = await newScene(t);
  const steps: number[] = [];
  const onProgress: MigrateOptions['onProgress'] = (step) => {
    if (step.backfilledRows === undefined) steps.push(step.number);
  };
  const rivals = await Promise.all(Array.from({ length: 5 }, () => run({ onProgress })));
  assert.deepEqual(rivals, [4, 4, 4, 4, 4]);
  assert.deepEqual(steps, [1, 2, 3, 4]);
  assert.equal(await undoubled(db), 0);
});

test('a contracting migration, and what comes after it, is held back until it is asked for', limited, async (t) => {
  const { db, run } = await newScene(t);
  assert.equal(await run({ contract: false }), 2);
  assert.equal(await applied(db), '1 2');
  assert.equal((await db`select note from item`).length, 10);
  assert.equal(await run({ contract: true }), 4);
  assert.equal(await applied(db), '1 2 3 4');
});

test('an expanding migration after a contracting one that was applied is not held back', limited, async (t) => {
  const { db, run } = await newScene(t);
  assert.equal(await run({ contract: true }, pick(3)), 3);
  assert.equal(await run({ contract: false }), 4);
  assert.equal(await applied(db), '1 2 3 4');
});

test('a file that was edited after it was applied is refused, and nothing is applied', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(2));
  const edited = { ...files, '001-first.expand.sql': `${first}\n-- a remark` };
  await assert.rejects(run({}, edited), { code: 'ERR_MIGRATION_CHANGED' });
  assert.equal(await applied(db), '1 2');
});

test('a release that does not know a migration of the database leaves it alone', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run();
  await assert.rejects(run({}, pick(2)), { code: 'ERR_SCHEMA_TOO_NEW' });
  assert.equal(await applied(db), '1 2 3 4');
});

test('a migration that meets a lock is tried again until the lock is gone', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  const { result, settled } = await db.begin(async (holder) => {
    await holder`select 1 from item`;
    const migrating = watched(run());
    const tries = new Set<string>();
    await until('it has tried twice', 60_000, async () => {
      const rows = await db<{ since: string }[]>`
        select xact_start::text as since from pg_stat_activity
         where datname = current_database() and application_name = 'migrator' and wait_event_type = 'Lock'`;
      for (const { since } of rows) tries.add(since);
      return tries.size >= 2 || migrating.settled();
    });
    return migrating;
  });
  assert.ok(!settled(), 'it waits as long as the lock is held');
  assert.equal(await result, 4);
});

test('a migration that never gets its lock says so, and changed nothing', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  await db.begin(async (holder) => {
    await holder`select 1 from item`;
    await assert.rejects(run({ attempts: 1 }), { code: 'ERR_MIGRATION_BLOCKED' });
  });
  assert.equal(await applied(db), '1');
  assert.equal(await run(), 4);
});

test('a rival is waited for, also when it dies', limited, async (t) => {
  const { db, url, run } = await newScene(t);
  await run({}, pick(1));
  const rival = openDatabase(url, { applicationName: 'rival', max: 1 });
  t.after(async () => await rival.end());
  await rival`select pg_advisory_lock(${lockClass}, ${advisoryLock.migration})`;
  const { result, settled } = watched(run());
  await until('it has asked for the lock', 60_000, async () => {
    const asked = await db`
      select from pg_stat_activity where application_name = 'migrator' and query like '%pg_try_advisory_lock%'`;
    return asked.length > 0 || settled();
  });
  assert.ok(!settled());
  await db`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rival'`;
  assert.equal(await result, 4);
});

test('a migrator that dies in the middle of a backfill is taken over from where it was', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  await db`insert into fault values (5)`;
  await assert.rejects(run());
  assert.equal(await applied(db), '1 2?');
  assert.equal(await undoubled(db), 6, 'two batches were committed, the third was not');
  await db`delete from fault`;
  const batches: number[] = [];
  await run({ onProgress: (step) => batches.push(step.backfilledRows ?? 0) });
  assert.deepEqual(batches.slice(0, 4), [2, 4, 6, 6]);
  assert.equal(await applied(db), '1 2 3 4');
  assert.equal(await undoubled(db), 0);
});

test('a migrator that dies after the last row of a backfill leaves nothing to do but saying so', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(2));
  await db`update migration set backfilled_at = null where number = 2`;
  const batches: unknown[] = [];
  await run({ onProgress: (step) => batches.push(step) }, pick(2));
  assert.deepEqual(batches, [{ number: 2, name: 'second', backfilledRows: 0 }]);
  assert.equal(await applied(db), '1 2');
});

test('a migrator that dies in the middle of a migration leaves nothing of it', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  await db`insert into fault values (100)`;
  const dying = { ...pick(1), '002-dying.expand.sql': 'create table half (n integer); select die_at(100);' };
  await assert.rejects(run({}, dying));
  assert.equal(await applied(db), '1');
  await db`delete from fault`;
  assert.equal(await run({}, dying), 2);
});

const concurrent = {
  ...pick(1),
  '002-indexes.expand.sql': `-- Beside live traffic.
    create index concurrently if not exists item_doubled on item (doubled);
    create index concurrently if not exists item_both on item (id, doubled);`,
};

async function validIndexes(db: Database): Promise<string> {
  const rows = await db<{ name: string }[]>`
    select c.relname as name from pg_index i join pg_class c on c.oid = i.indexrelid
     where i.indrelid = 'item'::regclass and i.indisvalid and not i.indisprimary order by 1`;
  return rows.map(({ name }) => name).join(' ');
}

test('indexes are built concurrently while others write, and wait for whoever began before', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  const { result, settled } = await db.begin(async (writer) => {
    await writer`update item set doubled = 0 where id = 1`;
    const migrating = watched(run({}, concurrent));
    assert.ok(await untilOneWaits(db, migrating.settled, 'migrator'), 'it waits for the writer');
    await db`update item set doubled = 0 where id = 2`;
    assert.ok(!migrating.settled(), 'another one wrote beside it');
    return migrating;
  });
  assert.equal(await result, 2, String(settled()));
  assert.equal(await validIndexes(db), 'item_both item_doubled');
});

test('an index that was left half built is built anew', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  await db.begin(async (writer) => {
    await writer`update item set doubled = 0 where id = 1`;
    await assert.rejects(run({ attempts: 1 }, concurrent), { code: 'ERR_MIGRATION_BLOCKED' });
  });
  assert.equal(await validIndexes(db), '');
  assert.equal(await applied(db), '1');
  assert.equal(await run({}, concurrent), 2);
  assert.equal(await validIndexes(db), 'item_both item_doubled');
  assert.equal(await applied(db), '1 2');
});

test('rivals that wait for a migrator do not keep it from building an index', limited, async (t) => {
  const { db, run } = await newScene(t);
  await run({}, pick(1));
  assert.deepEqual(await Promise.all(Array.from({ length: 4 }, () => run({}, concurrent))), [2, 2, 2, 2]);
  assert.equal(await validIndexes(db), 'item_both item_doubled');
});

test('a migration that fails of itself fails at once and leaves nothing', limited, async (t) => {
  const { db, run } = await newScene(t);
  const broken = { ...pick(1), '002-broken.expand.sql': 'create table half (n integer); select 1 / 0;' };
  await assert.rejects(run({}, broken), { code: '22012' });
  assert.equal(await applied(db), '1');
  const [half] = await db`select to_regclass('half') is null as absent`;
  assert.equal(half?.['absent'], true);
});

test('files that are misnamed, missing or have two backfills are refused', limited, async (t) => {
  const wrong: Files[] = [
    { '1-first.expand.sql': '' },
    { '001-first.sql': '' },
    { '001-First.expand.sql': '' },
    { '002-second.expand.sql': '' },
    { '001-first.expand.sql': '', '003-third.expand.sql': '' },
    { '001-first.expand.sql': '', '001-other.expand.sql': '' },
    { '001-first.expand.sql': 'select 1;\n-- backfill\nselect 2;\n-- backfill\nselect 3;' },
    { '001-first.expand.sql': 'create index concurrently if not exists one on item (id);\nselect 1;' },
    { '001-first.expand.sql': 'create index concurrently one on item (id);' },
  ];
  for (const own of wrong) {
    const folder = await sqlFolder(t, own);
    await assert.rejects(readMigrations(folder), { code: 'ERR_MIGRATION_FILES' }, Object.keys(own).join());
  }
});

test('a migration file is split at its backfill, and its digest is of every byte', limited, async (t) => {
  const read = async (text: string) => await readMigrations(await sqlFolder(t, { '001-first.contract.sql': text }));
  const [plain] = await read('select 1;\n');
  const [filled] = await read('select 1;\n-- backfill slowly\nselect 2;\n');
  assert.deepEqual(
    [plain?.kind, plain?.name, plain?.statements, plain?.backfill],
    ['contract', 'first', 'select 1;\n', undefined],
  );
  assert.deepEqual([filled?.statements, filled?.backfill], ['select 1;\n', 'select 2;']);
  assert.notEqual(plain?.digest, (await read('select 1; \n'))[0]?.digest);
});
