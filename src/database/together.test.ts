import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { openDatabase } from './connection.ts';
import { administrationTransaction, takeReleaseLock } from './release-lock.ts';
import { createTestDatabase } from './test-database.ts';
import { beginTogether, didNotHold, mustHold } from './together.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'together', max: 2 });
after(async () => await db.end());
await db`create table item (id integer primary key)`;
beforeEach(async () => {
  await db`delete from item`;
});

const items = async () => (await db<{ id: number }[]>`select id from item order by id`).map(({ id }) => id);

test('statements answer in their order, and are one transaction', async () => {
  const answers = await beginTogether(db, (tx) => [
    tx`insert into item values (1) returning id, pg_current_xact_id()::text as xact`,
    tx`insert into item values (2) returning id, pg_current_xact_id()::text as xact`,
  ]);
  const [first, second] = answers.map((rows) => (rows as { id: number; xact: string }[])[0]);
  assert.deepEqual([first?.id, second?.id], [1, 2]);
  assert.equal(first?.xact, second?.xact);
  assert.deepEqual(await items(), [1, 2]);
});

test('nothing is committed where a statement fails, wherever it stands; the session goes on', async () => {
  for (const place of [0, 1, 2]) {
    await assert.rejects(
      beginTogether(db, (tx) => {
        const statements = [10, 11].map((id) => tx`insert into item values (${id})`);
        return statements.toSpliced(place, 0, tx`select ${mustHold(tx, tx`${place}::int < 0`)}`);
      }),
      didNotHold,
    );
  }
  assert.deepEqual(await items(), []);
});

test('nothing is committed where a statement could not even be made', async () => {
  const unmade = async () => {
    throw new Error('unmade');
  };
  await assert.rejects(
    beginTogether(db, (tx) => [tx`insert into item values (3)`, unmade()]),
    { message: 'unmade' },
  );
  assert.deepEqual(await items(), []);
});

test('a statement that waits for another one is refused, since the commit would be before it', async () => {
  await assert.rejects(
    beginTogether(db, (tx) => [tx`insert into item values (4)`.then(() => tx`insert into item values (5)`)]),
    TypeError,
  );
  assert.ok(!(await items()).includes(5));
});

test('under the release lock of another release nothing is written', async () => {
  await db`
    insert into domain (domain_id, name, public_url, tunnel_host, push_topic, release, schema_version, feature_level)
    values (gen_random_uuid(), 'test', 'https://127.0.0.1:1', 'tunnel.test', 'topic', '1.2.0', 1, '1.2.0')`;
  const write = (release: string) =>
    beginTogether(db, (tx) => [...takeReleaseLock(tx, release), tx`insert into item values (7)`]);
  await assert.rejects(write('1.1.0'), didNotHold);
  assert.deepEqual(await items(), []);
  await write('1.2.0');
  assert.deepEqual(await items(), [7]);
  await assert.rejects(
    administrationTransaction(db, '1.1.0', async () => {}),
    { code: 'ERR_RELEASE_FENCED' },
  );
});
