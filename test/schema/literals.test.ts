/**
 * The literals that statements compare columns with, or write into them, against the schema: each is one that the column's check
 * allows. What the checks of states allow are the states of their machines (states.test.ts), so none is misspelt or of another machine.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { isTestSupport } from '../../scripts/layers/imports.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { given, type LiteralUse, literalsUsed } from './literal-use.ts';
import { readTables } from './schema-tables.ts';

const checkout = path.join(import.meta.dirname, '..', '..');
const textOf = (file: string) => readFileSync(path.join(checkout, file), 'utf8');
const sources = globSync('src/**/*.ts', { cwd: checkout }).filter((file) => !isTestSupport(file));

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());
const tables = await readTables(db);

/** `table.column`, and the values that a check lists for it. */
const allowed = new Map<string, readonly string[]>(
  (
    await db<{ table: string; check: string }[]>`
      select conrelid::regclass::text as table, pg_get_constraintdef(oid) as check
        from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace`
  ).flatMap(({ table, check }) => {
    const [, column, list] = /^CHECK \(\((\w+) = ANY \(ARRAY\[([^\]]*)\]/.exec(check) ?? [];
    if (column === undefined || list === undefined) return [];
    const values = [...list.matchAll(/'([^']*)'/g)].map(([, value = '']) => value);
    return [[`${table}.${column}`, values] as const];
  }),
);

// The log of an upgrade repeats its states.
allowed.set('upgrade_event.state', allowed.get('upgrade.state') ?? []);

/** Undefined where none of the sources is a column with a list. */
function isKnown({ literal, sources: from }: LiteralUse): boolean | undefined {
  if (!from.some((source) => allowed.has(source))) return undefined;
  return from.some((source) => source === `'${literal}'` || allowed.get(source)?.includes(literal));
}

const roomsOfFiles = Map.groupBy(sources, (file) => path.dirname(file));
const uses = [...roomsOfFiles.values()].flatMap((files) => {
  const room = files.map(textOf);
  return files.flatMap((file) => literalsUsed(textOf(file), tables, room).map((use) => ({ file, ...use })));
});
const isState = ({ column }: LiteralUse) => /(?:^|_)state$/.test(column);

test('a literal that a statement compares with a column, or writes into it, is one that the column can have', () => {
  assert.deepEqual(
    uses.filter((use) => isKnown(use) === false),
    [],
  );
});

test('of every literal that a statement takes for a state, it can be seen whose', () => {
  assert.deepEqual(
    uses.filter((use) => isState(use) && isKnown(use) === undefined && !use.sources.includes(given)),
    [],
    'give the table an alias, and name the column by it',
  );
  for (const file of sources.filter((each) => textOf(each).includes('database/connection.ts'))) {
    // A semicolon ends an assignment of the program's own.
    const written = textOf(file).matchAll(/(?<!const )\bstate (?:=|<>|is (?:not )?distinct from) '([a-z-]+)'(?!;)/g);
    for (const [literal, all] of Map.groupBy(written, ([, text = '']) => text)) {
      const seen = uses.filter((use) => use.file === file && isState(use) && use.literal === literal);
      assert.ok(seen.length >= all.length, `${file}: '${literal}' is not seen everywhere`);
    }
  }
});

test('no statement takes states as a parameter: a plan for any parameters would not use a partial index', () => {
  const parameters = sources.filter((file) => /\bstate\s*(?:=|<>)\s*(?:any|all)\s*\(/i.test(textOf(file)));
  assert.deepEqual(parameters, [], 'make the condition from the machine: `in`, `notIn` or `among`');
});

test('whose column a literal is compared with, wherever it stands in a statement', () => {
  const schema = new Map([
    ['move', new Set(['id', 'state', 'batch_id'])],
    ['batch', new Set(['id', 'state'])],
  ]);
  const placed = (statement: string) =>
    literalsUsed(`q\`${statement}\``, schema).map(({ literal, sources: from }) => [literal, ...from].join(' '));
  assert.deepEqual(placed("select 1 from move where state = 'a' and state not in ('b', 'c') and 'd' = state"), [
    ...['a move.state', 'b move.state', 'c move.state', 'd move.state'],
  ]);
  assert.deepEqual(
    placed(
      "select 1 from move m join batch b on b.id = m.batch_id where m.state <> 'a' and b.state is distinct from 'b'",
    ),
    ['a move.state', 'b batch.state'],
  );
  // Written, and decided by.
  assert.deepEqual(placed("update move m set state = case m.state when 'a' then 'b' else 'c' end where id = 1"), [
    ...['a move.state', 'b move.state', 'c move.state'],
  ]);
  assert.deepEqual(placed("insert into move (id, state) select id, 'a' from batch where state = 'b'"), [
    ...['b batch.state', 'a move.state'],
  ]);
  assert.deepEqual(placed("insert into batch (id, state) values (1, 'a')"), ['a batch.state']);
  assert.deepEqual(placed("insert into move (id) select id from batch on conflict (id) where state = 'a' do nothing"), [
    'a move.state',
  ]);
  // The innermost query that has the column; and what the results of a query come from.
  assert.deepEqual(placed("select 1 from batch where exists (select 1 from move where state = 'a')"), ['a move.state']);
  assert.deepEqual(
    placed(
      "with w as (select id, state from move union all select id, 'x' from batch) select 1 from w where w.state = 'a'",
    ),
    ["a move.state 'x'"],
  );
  // A part of a statement, explained by another one of the room, or by none.
  assert.deepEqual(placed("w as (select state from move)` + q`select 1 from w where w.state = 'a'"), ['a move.state']);
  assert.deepEqual(placed("m.state = 'a'` + q`select 1 from move m"), ['a move.state']);
  assert.deepEqual(placed("m.state = 'a'"), ['a']);
});
