import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
after(() => db.end({ timeout: 5 }));

const hard = ['', ' ', 'NULL', 'null', 'a"b', 'a\\b', '{}', '{a,b}', 'a,b', '\n\t', '\\"', 'ü€😀', '"', "'"];

test('arrays come back from PostgreSQL as they were sent', async () => {
  const [row] = await db`
    select ${hard}::text[] as texts, ${[null, 'x', null]}::text[] as nulls, ${[]}::text[] as none, ${[1, -2]}::int[] as numbers,
           ${['9007199254740993']}::bigint[] as big, ${['7e57d004-2b97-0e7a-b45f-5387367791cd']}::uuid[] as ids,
           ${['t', 'f']}::text[]::boolean[] as flags, array[${Buffer.from([0, 92, 255])}::bytea] as bytes,
           array['{"a":"b\"}'::text, '1']::text[] as quoted, '{{1,2},{3,NULL}}'::int[] as nested, '[2:3]={5,6}'::int[] as bounds,
           array['2026-11-26T00:00:00Z'::timestamptz] as times, array['{"a": [1, "x"]}'::jsonb, 'null'] as documents`;
  assert.deepEqual(row?.['texts'], hard);
  assert.deepEqual(
    { ...row, texts: undefined, quoted: undefined },
    {
      texts: undefined,
      quoted: undefined,
      nulls: [null, 'x', null],
      none: [],
      numbers: [1, -2],
      big: ['9007199254740993'],
      ids: ['7e57d004-2b97-0e7a-b45f-5387367791cd'],
      flags: [true, false],
      bytes: [Buffer.from([0, 92, 255])],
      nested: [
        [1, 2],
        [3, null],
      ],
      bounds: [5, 6],
      times: [new Date('2026-11-26T00:00:00Z')],
      documents: [{ a: [1, 'x'] }, null],
    },
  );
});

test('every array type that the database has built in for a type that statements use has the number that is known', async () => {
  const rows = await db<{ name: string; ok: boolean }[]>`
    select e.typname as name, e.typarray = any(${Object.keys(db.options.parsers).map(Number)}::int[]::oid[]) as ok
      from pg_type e
     where e.oid in (select distinct coalesce(nullif(t.typelem, 0), t.oid) from pg_attribute a
                       join pg_class c on c.oid = a.attrelid and c.relnamespace = 'public'::regnamespace
                       join pg_type t on t.oid = a.atttypid
                      where a.attnum > 0 and t.typtype = 'b')`;
  assert.ok(rows.length > 8);
  assert.deepEqual(
    rows.filter(({ ok }) => !ok).map(({ name }) => name),
    [],
  );
});
