import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../database-fixture.ts';
import { openSession } from '../session.ts';
import { copyOut } from './copy-stream.ts';
import { loadDatabase } from './load.ts';
import { withSnapshot } from './snapshot.ts';

const applicationName = 'bramble/test';
const empty = { prepareTemplate: async () => {}, templateKey: 'empty' };

async function database(statements: string): Promise<{ url: string; sql: postgres.Sql }> {
  const { url } = await createTestDatabase(empty);
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  after(async () => await sql.end({ timeout: 5 }));
  await sql.unsafe(statements);
  return { url, sql };
}

/** Copies everything from one to the other. */
async function copy(from: string, to: string): Promise<void> {
  await withSnapshot(from, { applicationName }, async (snapshot) => {
    await loadDatabase(to, { applicationName }, async (load) => {
      for (const table of snapshot.tables) await load.table(table, await snapshot.rows(table));
      await load.sequences(await snapshot.sequences());
    });
  });
}

const schema = `
  create table "Child" (id bigint generated always as identity primary key, parent text not null references parent,
    twice integer generated always as (length(parent) * 2) stored, odd jsonb);
`;
const parents =
  'create table parent (name text primary key, at timestamptz, data bytea, ratio float8, "a b" integer[]);';
const free = 'create sequence free;';
const triggers = `
  create table noted (what text);
  create function note() returns trigger language plpgsql as $$ begin insert into noted values ('written'); return null; end $$;
  create trigger noting after insert on parent for each statement execute function note();`;

test('rows, sequences and generated columns are the same in the copy, and the next numbers are new', async () => {
  const one = await database(parents + schema + free + triggers);
  await one.sql.unsafe(`
    insert into parent values (E'tab\\t back\\\\slash\\nline \\\\N', '2026-03-29 02:30:00.123456+02', '\\x00ff0a5c', 0.1, '{1,null}'),
      ('', 'infinity', null, 'NaN', null);
    insert into "Child" (parent, odd) select name, jsonb_build_object('ü', E'\\u2028', 'n', null) from parent;
    insert into noted values ('kept');
    select nextval('free'), nextval('free'), nextval('free')`);
  const two = await database(parents + schema + free + triggers);
  await two.sql`insert into parent (name) values ('of a migration')`;
  await copy(one.url, two.url);
  for (const query of [
    'select * from parent order by name',
    'select * from "Child" order by id',
    'select * from noted',
  ]) {
    assert.deepEqual([...(await two.sql.unsafe(query))], [...(await one.sql.unsafe(query))], query);
  }
  const [next] = await two.sql`
    insert into "Child" (parent) values ('') returning id, (select nextval('free')) as free`;
  assert.deepEqual({ ...next }, { id: '3', free: '4' });
  await two.sql`insert into parent (name) values ('later')`;
  assert.equal((await two.sql`select from noted where what = 'written'`).length, 2, 'triggers are on again');
});

test('the copy is of one moment: what is written while it is taken is in none of its tables', async () => {
  const one = await database(parents + schema);
  const two = await database(parents + schema);
  await withSnapshot(one.url, { applicationName }, async (snapshot) => {
    await one.sql`insert into parent (name) values ('late')`;
    await one.sql`insert into "Child" (parent) values ('late')`;
    await loadDatabase(two.url, { applicationName }, async (load) => {
      for (const table of snapshot.tables) await load.table(table, await snapshot.rows(table));
      await load.sequences(await snapshot.sequences());
    });
  });
  assert.equal((await two.sql`select from parent`).length, 0);
  assert.equal((await two.sql`select nextval(pg_get_serial_sequence('"Child"', 'id')) as id`)[0]?.['id'], '2');
});

const rowsOf = (...lines: string[]) =>
  (async function* () {
    for (const line of lines) yield Buffer.from(`${line}\n`);
  })();

for (const [what, line, code] of [
  ['by a foreign key, which is looked at behind the last byte', 'missing\t\\N', '23503'],
  ['for a value that is none', 'missing\t{', '22P02'],
] as const) {
  test(`what the server refuses ${what}, fails, and nothing is loaded`, async () => {
    const { url, sql } = await database(`${parents + schema}insert into parent (name) values ('kept');`);
    const load = loadDatabase(url, { applicationName }, async ({ table }) => {
      await table({ name: 'Child', columns: ['parent', 'odd'] }, rowsOf(line));
    });
    await assert.rejects(load, { code });
    assert.equal((await sql`select from parent`).length, 1);
  });
}

test('a load whose source fails fails with that, and a server that is lost ends it', async () => {
  const { url, sql } = await database(parents + schema);
  const broken = async function* (error: () => Promise<never>) {
    yield Buffer.from('one\t\\N\t\\N\t\\N\t\\N\n');
    await error();
  };
  const parent = { name: 'parent', columns: ['name', 'at', 'data', 'ratio', 'a b'] };
  const loadWith = async (error: () => Promise<never>) =>
    await loadDatabase(url, { applicationName }, async ({ table }) => await table(parent, broken(error)));
  const source = loadWith(async () => {
    throw new RangeError('the source');
  });
  await assert.rejects(source, { message: 'the source' });
  const lost = loadWith(async () => {
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${applicationName} and datname = current_database()`;
    return await new Promise<never>(() => {});
  });
  await assert.rejects(lost, (error: { code?: string }) =>
    ['57P01', 'CONNECTION_CLOSED', 'ECONNRESET'].includes(error.code ?? ''),
  );
  assert.equal((await sql`select from parent`).length, 0);
});

test('rows that end where a message of the server does are read, and so is what comes next', async () => {
  const { url } = await database('');
  const session = await openSession(url, { applicationName });
  after(() => session.close());
  await session.run(async (sql) => {
    // The server sends 8 KiB at a time: the end of the rows and what follows it come apart for some of these.
    for (let length = 8000; length < 8200; length++) {
      const pieces: Buffer[] = [];
      const rows = `(select repeat('x', ${length}) from generate_series(1, 9))`;
      for await (const piece of await copyOut(sql, `copy ${rows} to stdout`)) pieces.push(piece);
      assert.equal(Buffer.concat(pieces).length, 9 * (length + 1));
      assert.equal((await sql`select 1 as one`)[0]?.['one'], 1);
    }
  });
});
