import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase, type Transaction } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 2 });
const other = openDatabase(database.url, { applicationName: 'bramble/test-other', max: 1 });
after(async () => {
  await db.end({ timeout: 5 });
  await other.end({ timeout: 5 });
});

const pidOf = async (tx: Transaction): Promise<number> => {
  const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
  return row?.pid ?? 0;
};

test('a transaction that goes on after its session was ended writes nothing, in no session', async () => {
  const ended = Promise.withResolvers<void>();
  const running = db.begin(async (tx) => {
    const pid = await pidOf(tx);
    await other`select pg_terminate_backend(${pid})`;
    await ended.promise;
    await tx`insert into setting (key, value) values ('stray', '{}')`;
  });
  await assert.rejects(running, { code: 'CONNECTION_CLOSED' });
  // The pool has taken the connection object over by now.
  assert.equal((await db`select 1 as one`).length, 1);
  ended.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await other`select 1 from setting where key = 'stray'`).length, 0);
  assert.equal((await db`select 1 as one`).length, 1);
});

test('a session that is ended in mid-statement rejects the transaction and leaves the pool at work', async () => {
  const running = db.begin(async (tx) => {
    const pid = await pidOf(tx);
    await Promise.all([tx`select pg_sleep(60)`, other`select pg_terminate_backend(${pid})`]);
  });
  await assert.rejects(running);
  // The driver may answer the first statement after it has connected anew with the error that ended the old session.
  await Promise.allSettled([db`select 1 as one`, db`select 1 as one`]);
  await Promise.all([1, 2, 3].map(async () => assert.equal((await db`select 1 as one`).length, 1)));
});

test('results, errors, savepoints and rollbacks are as without the guard', async () => {
  assert.equal(await db.begin(async (tx) => (await tx<{ n: number }[]>`select 7 as n`)[0]?.n), 7);
  await assert.rejects(
    db.begin(async (tx) => {
      await tx`insert into setting (key, value) values ('rolled-back', '{}')`;
      throw new RangeError('no');
    }),
    RangeError,
  );
  await db.begin(async (tx) => {
    await tx`insert into setting (key, value) values ('kept', ${tx.json({ a: 1 })})`;
    await assert.rejects(
      tx.savepoint(async (inner) => await inner`insert into setting (key, value) values ('kept', '{}')`),
    );
  });
  const rows = await other<{ key: string }[]>`select key from setting order by key`;
  assert.deepEqual(
    rows.map((row) => row.key),
    ['kept'],
  );
  const kept: Transaction[] = [];
  await db.begin(async (tx) => {
    kept.push(tx);
    await tx`select 1`;
  });
  for (const tx of kept) assert.throws(() => tx`select 1`, { code: 'ERR_DATABASE_UNAVAILABLE' });
});
