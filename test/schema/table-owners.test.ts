/**
 * The tables "Whose table it is" and "Published columns" in ARCHITECTURE.md against the SQL of the program: who names a table in a
 * statement is its owner, or is a room above and keeps to what the owner publishes, or stands there with the reason; and who stands
 * there still has to.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { isTestSupport } from '../../scripts/layers/imports.ts';
import { readRooms, roomOf } from '../../scripts/layers/table.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { namesIn } from './query-names.ts';
import { readTables } from './schema-tables.ts';
import { queriesIn, type TableUse, tablesUsed } from './table-use.ts';

const checkout = path.join(import.meta.dirname, '..', '..');
const textOf = (file: string) => readFileSync(path.join(checkout, file), 'utf8');
const document = textOf('ARCHITECTURE.md');
const rooms = readRooms(document);
const sources = globSync('src/**/*.ts', { cwd: checkout }).filter((file) => !isTestSupport(file));

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());
const tables = await readTables(db);

interface TableRow {
  readonly tables: readonly string[];
  readonly owner: string;
  readonly writers: readonly string[];
  readonly readers: readonly string[];
}

const quotedIn = (cell: string) => [...cell.matchAll(/`([^`]+?)\/?`/g)].map(([, name = '']) => name);
const exceptions = /^(?:–|`[a-z/]+\/` \([^()]+\)(?:, `[a-z/]+\/` \([^()]+\))*)$/;

/** The rows whose first cell names tables, and whose second one a room. */
function readTableRows(): TableRow[] {
  const row = /^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (`[a-z/]+\/`) \| ([^|]+) \| ([^|]+) \|$/gm;
  return [...document.matchAll(row)].map(([, names = '', owner = '', writers = '', readers = '']) => {
    for (const cell of [writers, readers]) assert.match(cell, exceptions, `${names}: each room with the reason`);
    return {
      ...{ tables: quotedIn(names), owner: quotedIn(owner)[0] ?? '' },
      ...{ writers: quotedIn(writers), readers: quotedIn(readers) },
    };
  });
}
const rows = readTableRows();
const ownerOf = new Map(rows.flatMap((row) => row.tables.map((table) => [table, row.owner])));

/** The rows whose second cell names columns, and whose third one the rooms that read them. */
const publishing = [
  ...document.matchAll(/^\| `([a-z_]+)` \| ((?:`[a-z_]+`(?:, )?)+) \| ((?:`[a-z/]+`(?:, )?)+) \|$/gm),
];
const published = new Map(publishing.map(([, table = '', list = '']) => [table, new Set(quotedIn(list))]));

/** Published columns are for the rooms above their owner's. */
function isPublished({ table, kind, column }: TableUse, room: string): boolean {
  const list = published.get(table);
  const order = rooms.map(({ name }) => name);
  const isAbove = order.indexOf(room) > order.indexOf(ownerOf.get(table) ?? '');
  return kind === 'reads' && isAbove && list !== undefined && (column === '' || list.has(column));
}

/** What needs a reason: `table writes room` and `table reads room`, each with where it is seen. Who writes may read as well. */
function foreignUses(): Map<string, string> {
  const uses = new Map<string, string>();
  for (const file of sources) {
    const room = roomOf(rooms, file)?.name ?? file;
    for (const use of tablesUsed(textOf(file), tables)) {
      const { table, kind, column } = use;
      if (ownerOf.get(table) === room || isPublished(use, room)) continue;
      const what = kind === 'reads' ? column : kind;
      uses.set(`${table} ${kind === 'writes' ? 'writes' : 'reads'} ${room}`, `${file}: ${what}`);
    }
  }
  for (const use of [...uses.keys()]) if (use.includes(' writes ')) uses.delete(use.replace(' writes ', ' reads '));
  return uses;
}

test('every table of the schema has one owner, which is a room', () => {
  assert.deepEqual([...ownerOf.keys()].sort(), [...tables.keys()].sort());
  assert.equal(rows.flatMap((row) => row.tables).length, ownerOf.size);
  const known = rooms.map(({ name }) => name);
  for (const { owner, writers, readers } of rows) {
    for (const room of [owner, ...writers, ...readers]) assert.ok(known.includes(room), `${room} is no room`);
  }
});

test('no room names another’s table in SQL without a reason in the table, beyond the published columns', () => {
  const uses = foreignUses();
  const told = rows.flatMap(({ tables: names, writers, readers }) =>
    names.flatMap((name) => [
      ...writers.map((room) => `${name} writes ${room}`),
      ...readers.map((room) => `${name} reads ${room}`),
    ]),
  );
  const untold = [...uses].filter(([use]) => !told.includes(use)).map(([use, where]) => `${use} (${where})`);
  assert.deepEqual(untold, [], 'ask the owner for it, or say in ARCHITECTURE.md who reads what, and why');
  assert.deepEqual(
    told.filter((use) => !uses.has(use)),
    [],
    'it stands in ARCHITECTURE.md, and does not any more',
  );
});

test('an alias that nothing in its file explains is of a table of the file’s room', () => {
  for (const file of sources) {
    const room = roomOf(rooms, file)?.name ?? file;
    const queries = queriesIn(textOf(file), tables);
    const explained = new Set(queries.flatMap(({ relations }) => relations.map(({ alias }) => alias)));
    const names = queries.flatMap((query) => namesIn(query, tables)).filter((name) => name.tables === undefined);
    for (const [alias, all] of Map.groupBy(names, (name) => name.alias ?? '')) {
      const own = [...tables].some(
        ([table, columns]) => ownerOf.get(table) === room && all.every(({ column }) => columns.has(column)),
      );
      assert.ok(explained.has(alias) || own, `${file}: ${alias}.${all.map(({ column }) => column).join(', ')}`);
    }
  }
});

test('a published column is one of its table, and another room reads it', () => {
  const read = new Set<string>();
  for (const file of sources) {
    const room = roomOf(rooms, file)?.name ?? file;
    for (const { table, column } of tablesUsed(textOf(file), tables)) {
      if (ownerOf.get(table) !== room) read.add(`${table}.${column}`);
    }
  }
  assert.ok(published.size > 0);
  const all = [...published].flatMap(([table, list]) => [...list].map((column) => `${table}.${column}`));
  assert.deepEqual(
    all.filter((each) => !read.has(each)),
    [],
  );
});

test('who reads published columns stands beside them, and nobody else does', () => {
  const readers = new Map([...published.keys()].map((table) => [table, new Set<string>()]));
  for (const file of sources) {
    const room = roomOf(rooms, file)?.name ?? file;
    for (const use of tablesUsed(textOf(file), tables)) {
      if (ownerOf.get(use.table) !== room && isPublished(use, room)) readers.get(use.table)?.add(`${room}/`);
    }
  }
  const order = rooms.map(({ name }) => `${name}/`);
  assert.deepEqual(
    publishing.map(([, table = '', , list = '']) => `${table}: ${list}`),
    [...readers].map(([table, names]) => {
      const sorted = [...names].sort((a, b) => order.indexOf(a) - order.indexOf(b));
      return `${table}: ${sorted.map((name) => `\`${name}\``).join(', ')}`;
    }),
  );
});

test('no relation that a statement names is missed when it is taken apart', () => {
  const relation = new RegExp(
    String.raw`\b(?:delete from|insert into|update|from|join|using|lock table)\s+(?:only\s+)?(${[...tables.keys()].join('|')})\b(?!['.(])`,
    'g',
  );
  const comments = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm;
  for (const file of sources) {
    const text = textOf(file);
    const named = [...text.replaceAll(comments, '').matchAll(relation)].map(([, table = '']) => table);
    const seen = tablesUsed(text, tables).map(({ table }) => table);
    assert.deepEqual(
      named.filter((table) => !seen.includes(table)),
      [],
      file,
    );
  }
});

test('what is read from a statement: its tables and columns, and neither comments nor other names', () => {
  const schema = new Map([
    ['account', new Set(['id', 'name', 'epoch'])],
    ['delivery', new Set(['id', 'state', 'device_id'])],
    ['device', new Set(['id', 'name', 'state', 'at'])],
  ]);
  const used = (text: string) =>
    tablesUsed(text, schema).map(({ table, kind, column }) => [table, kind, column].join(' ').trim());
  const text = `
    /** Reads from device. */
    // and from account
    q\`with open as (select 1 from delivery d join device v on v.id = d.device_id)
      update only account set account = 1 where extract(epoch from device.at) > 0\``;
  assert.deepEqual(used(text).sort(), [
    'account writes',
    'delivery reads',
    'delivery reads device_id',
    'device reads',
    'device reads id',
  ]);
  assert.deepEqual(used('q`select name, 1 as state from account where id > 0 for share`'), [
    'account reads',
    'account locks',
    'account reads name',
    'account reads id',
  ]);
  // A bare name belongs to the innermost query that has it; `*` is the whole row.
  assert.deepEqual(used('q`select * from account where exists (select 1 from device where state = epoch)`'), [
    'account reads',
    'account reads *',
    'device reads',
    'device reads state',
    'account reads epoch',
  ]);
  // An alias that only another part of the file explains, and a part within a statement.
  assert.deepEqual(used(`q\`v.state = 'open'\`; q\`select 1 from device v where \${q\`v.at > 0\`}\`;`), [
    'device reads state',
    'device reads',
    'device reads at',
  ]);
});

test('a list of states stands in the file of its machine, and in no statement', () => {
  const lists = sources.filter((file) => /\bstate (not )?in \('/.test(textOf(file)));
  assert.deepEqual(lists, [], 'take the set from the machine: `deliveryStates.in(q, …)`');
});
