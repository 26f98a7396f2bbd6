/** What becomes of statements whose session the database ends: reads and beginnings come through, writes are not repeated. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '../testing/condition.ts';
import { type Database, openDatabase, type Transaction } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';

const limited = { timeout: 60_000 };
const { url } = await createTestDatabase();
const other = openDatabase(url, { applicationName: 'bramble/test-other', max: 2 });
after(() => other.end({ timeout: 5 }));

/** A pool of its own for each test: a session that ends leaves traces in the driver. */
async function withPool(max: number, work: (db: Database, endSessions: () => Promise<number>) => Promise<void>) {
  const name = `bramble/test-${Math.random()}`;
  const db = openDatabase(url, { applicationName: name, max });
  const endSessions = async () =>
    (await other`select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = ${name}`).length;
  try {
    await work(db, endSessions);
  } finally {
    // The driver waits in vain for a statement whose session was ended.
    await db.end({ timeout: 0.1 });
  }
}

/** Other databases of the cluster, clones of the same template, have a table of the same number. */
const waitingFor = (tx: Transaction) => tx`
  pg_locks where not granted and relation = 'setting'::regclass
    and database = (select oid from pg_database where datname = current_database())`;

/** Ends the sessions of statements while they wait for a lock, and lets whatever comes after them through. */
async function endWaiting<Result>(
  statements: readonly (() => PromiseLike<Result>)[],
): Promise<PromiseSettledResult<Result>[]> {
  const { settled } = await other.begin(async (tx) => {
    await tx`lock table setting`;
    const settled = Promise.allSettled(statements.map(async (statement) => await statement()));
    await until(`${statements.length} statements wait for the lock`, 30_000, async () => {
      const [row] = await tx<{ count: number }[]>`
        select count(*)::int from ${waitingFor(tx)}`;
      return row?.count === statements.length;
    });
    await tx`select pg_terminate_backend(pid, 5000) from ${waitingFor(tx)}`;
    return { settled };
  });
  return await settled;
}

const readOne = async (db: Database) => (await db<{ one: number }[]>`select 1 as one`)[0]?.one;

test('reads come through though every session of the pool is ended, idle ones and those at work', limited, async () => {
  await withPool(4, async (db, endSessions) => {
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 4 }, () => readOne(db)));
      const reads = Array.from({ length: 8 }, () => readOne(db));
      await endSessions();
      reads.push(...Array.from({ length: 8 }, () => readOne(db)));
      assert.deepEqual(new Set(await Promise.all(reads)), new Set([1]));
    }
  });
});

test('reads that are ended in the middle are sent again, and so are those after them', limited, async () => {
  await withPool(2, async (db) => {
    const read = async () => (await db`select key from setting where key = 'nothing'`).length;
    assert.deepEqual(
      await endWaiting([read, read]),
      [1, 2].map(() => ({ status: 'fulfilled', value: 0 })),
    );
    assert.equal(await readOne(db), 1);
  });
});

test(
  'a read that begins with `with` is sent again whatever fragments it is made of, unless one of them writes',
  limited,
  async () => {
    await withPool(3, async (db) => {
      const among = db`key in (${'nothing'}, ${db.unsafe("'more'")})`;
      const read = async () =>
        (await db`with found as (select key from setting where ${among}) select key from found`).length;
      const write = async () =>
        (
          await db`with made as (${db`insert into setting (key, value) values ('made', '{}') returning key`}) select key from made`
        ).length;
      const writeInArray = async () => {
        const parts = [db`insert into setting (key, value) values ('made', '{}')`, db`returning key`];
        return (await db`with made as (${parts as never}) select key from made`).length;
      };
      const [first, ...others] = await endWaiting([read, write, writeInArray]);
      assert.deepEqual(first, { status: 'fulfilled', value: 0 });
      assert.deepEqual(
        others.map(({ status }) => status),
        ['rejected', 'rejected'],
      );
      assert.equal((await db`select from setting where key = 'made'`).length, 0);
    });
  },
);

test('a write that is ended in the middle is not repeated, nor what locks', limited, async () => {
  await withPool(2, async (db) => {
    const settled = await endWaiting<unknown>([
      () => db`insert into setting (key, value) values ('written', '{}')`,
      () => db`select key from setting for update`,
    ]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal((await other`select from setting where key = 'written'`).length, 0);
  });
});

/** A pool whose next statement the driver answers, without sending it, with what ended the session before. */
async function withBrokenPool(max: number, work: (db: Database) => Promise<void>) {
  await withPool(max, async (db) => {
    const write = () => db`insert into setting (key, value) values ('lost', '{}')`;
    await endWaiting(Array.from({ length: max }, () => write));
    await work(db);
  });
}

test('a transaction whose connection was lost before it began begins anew', limited, async () => {
  await withBrokenPool(2, async (db) => {
    let works = 0;
    await db.begin(async (tx) => {
      works += 1;
      await tx`insert into setting (key, value) values ('begun', '{}')`;
    });
    assert.equal(works, 1);
    assert.equal((await other`select from setting where key = 'begun'`).length, 1);
  });
});

test('in a pool of one connection, which is a session, nothing is sent again', limited, async () => {
  await withBrokenPool(1, async (db) => {
    await assert.rejects(db.begin(async (tx) => await tx`select 1`));
  });
  await withBrokenPool(1, async (db) => {
    await assert.rejects(readOne(db));
  });
});

test('a read that is part of another statement, or fails by itself, is as without', limited, async () => {
  await withPool(1, async (db) => {
    const part = db`select 1 as one`;
    assert.equal((await db`select * from (${part}) p`).length, 1);
    await assert.rejects(async () => await db`select 1 / 0`, { code: '22012' });
    const rows = await db`select 2 as two`.catch(() => []).finally(() => undefined);
    assert.equal(rows.length, 1);
  });
});
