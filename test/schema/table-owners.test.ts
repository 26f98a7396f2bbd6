/**
 * The table "Whose table it is" in ARCHITECTURE.md against the SQL of the program: who names a table in a statement is its owner,
 * or stands there; and who stands there still does.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { isTestSupport } from '../../scripts/layers/imports.ts';
import { readRooms, roomOf } from '../../scripts/layers/table.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { tablesUsed } from './table-use.ts';

const checkout = path.join(import.meta.dirname, '..', '..');
const textOf = (file: string) => readFileSync(path.join(checkout, file), 'utf8');
const document = textOf('ARCHITECTURE.md');
const rooms = readRooms(document);
const sources = globSync('src/**/*.ts', { cwd: checkout }).filter((file) => !isTestSupport(file));

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());
const tables = (await db<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public'`)
  .map(({ name }) => name)
  // The migrator's own, which each file of `sql/` is written into.
  .filter((name) => name !== 'migration');

interface TableRow {
  readonly tables: readonly string[];
  readonly owner: string;
  readonly writers: readonly string[];
  readonly readers: readonly string[];
}

const namesIn = (cell: string) => [...cell.matchAll(/`([^`]+?)\/?`/g)].map(([, name = '']) => name);

/** The rows whose first cell names tables, and whose second one a room. */
function readTableRows(): TableRow[] {
  const row = /^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (`[a-z/]+\/`) \| ([^|]+) \| ([^|]+) \|$/gm;
  return [...document.matchAll(row)].map(([, names = '', owner = '', writers = '', readers = '']) => ({
    tables: namesIn(names),
    owner: namesIn(owner)[0] ?? '',
    writers: namesIn(writers),
    readers: namesIn(readers),
  }));
}
const rows = readTableRows();

/** `table writes room` and `table reads room`; who writes a table may read it as well. */
function usesOfSources(): Map<string, string> {
  const uses = new Map<string, string>();
  for (const file of sources) {
    const room = roomOf(rooms, file)?.name ?? file;
    for (const { table, kind } of tablesUsed(textOf(file), tables)) uses.set(`${table} ${kind} ${room}`, file);
  }
  for (const use of [...uses.keys()]) if (use.includes(' writes ')) uses.delete(use.replace(' writes ', ' reads '));
  return uses;
}

test('every table of the schema has one owner, which is a room', () => {
  const owned = rows.flatMap((row) => row.tables);
  assert.deepEqual([...owned].sort(), [...tables].sort());
  const known = rooms.map(({ name }) => name);
  for (const { owner, writers, readers } of rows) {
    for (const room of [owner, ...writers, ...readers]) assert.ok(known.includes(room), `${room} is no room`);
  }
});

test('no room names another’s table in SQL that does not stand in the table, and who stands there does', () => {
  const uses = usesOfSources();
  const told = new Set<string>();
  for (const { tables: names, owner, writers, readers } of rows) {
    for (const name of names) {
      for (const kind of ['writes', 'reads']) uses.delete(`${name} ${kind} ${owner}`);
      for (const room of writers) told.add(`${name} writes ${room}`);
      for (const room of readers) told.add(`${name} reads ${room}`);
    }
  }
  const untold = [...uses].filter(([use]) => !told.has(use)).map(([use, file]) => `${use} (${file})`);
  assert.deepEqual(untold, [], 'ask the owner for it, or say in ARCHITECTURE.md who reads what');
  assert.deepEqual(
    [...told].filter((use) => !uses.has(use)),
    [],
    'it stands in ARCHITECTURE.md, and does not any more',
  );
});

test('what is read from a statement: its tables, and neither comments nor the names of columns', () => {
  const text = `
    /** Reads from device. */
    // and from account
    q\`with open as (select 1 from delivery d join device v on v.id = d.device_id)
      update only account set account = 1 where extract(epoch from device.at) > 0\``;
  assert.deepEqual(tablesUsed(text, ['account', 'delivery', 'device']), [
    { table: 'delivery', kind: 'reads' },
    { table: 'device', kind: 'reads' },
    { table: 'account', kind: 'writes' },
  ]);
});

test('a list of states stands in the file of its machine, and in no statement', () => {
  const lists = sources.filter((file) => /\bstate (not )?in \('/.test(textOf(file)));
  assert.deepEqual(lists, [], 'take the set from the machine: `deliveryStates.in(q, …)`');
});
