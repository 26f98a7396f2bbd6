import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../connection.ts';
import { createTestDatabase } from '../database-fixture.ts';
import { freeze } from './frozen.ts';

const { url } = await createTestDatabase({ prepareTemplate: async () => {}, templateKey: 'empty' });
const db = openDatabase(url, { applicationName: 'bramble/test', max: 1 });
after(async () => await db.end({ timeout: 5 }));

test('rows stay as they are whatever is written, but in tables that are named; statements are carried out all the same', async () => {
  await db.unsafe(`
    create table kept (name text primary key, at timestamptz);
    create table noted (what text);
    create table spared (name text primary key);
    create function note() returns trigger language plpgsql as $$ begin insert into noted values ('written'); return null; end $$;
    create trigger "!a" after insert or update or delete on kept for each row execute function note();
    insert into kept values ('a', now()), ('b', now())`);
  const read = async () => [await db`select * from kept order by name`, await db`select * from noted`];
  const before = await read();
  await freeze(db, ['spared']);
  assert.equal((await db`insert into kept values ('c', now()) returning name`).length, 0);
  assert.equal((await db`insert into kept values ('a', null) on conflict (name) do update set at = null`).count, 0);
  assert.equal((await db`update kept set at = null`).count, 0);
  assert.equal((await db`delete from kept`).count, 0);
  await db`set session_replication_role = replica`;
  await db`delete from kept`;
  await db`set session_replication_role = default`;
  await assert.rejects(db`truncate kept`, /is kept as it is/);
  await assert.rejects(db`update kept set no_such_column = 1`, { code: '42703' });
  assert.deepEqual(await read(), before);
  assert.equal((await db`insert into spared values ('x')`).count, 1);
});
