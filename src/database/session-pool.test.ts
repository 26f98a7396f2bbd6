/** What a pool is beside the driver: what it keeps and gives up, and what it refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import postgres from 'postgres';
import { until } from '../testing/condition.ts';
import { createTestDatabase } from './database-fixture.ts';
import { openSession, type Sql } from './session.ts';
import { openPool } from './session-pool.ts';
import { maxLifeMs, type PoolOptions } from './sessions.ts';

const limited = { timeout: 120_000 };
const { url } = await createTestDatabase();

async function withPool(options: Partial<PoolOptions>, work: (sql: Sql) => Promise<void>): Promise<void> {
  const sql = openPool(url, {
    ...{ applicationName: 'bramble/test', max: 1, idleTimeoutMs: 0, once: false },
    patienceMs: () => 0,
    onUnreachable: () => {},
    ...options,
  });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const processOf = async (sql: Sql) => (await sql<{ pid: number }[]>`select pg_backend_pid() as pid`)[0]?.pid;

test('a session keeps nothing of what has run in it', limited, async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const session = await openSession(url, { applicationName: 'bramble/test' });
  const runs = 30_000;
  const run = async () => {
    for (let number = 0; number < runs; number += 1) await session.run(async () => number);
    collect();
    return process.memoryUsage().heapUsed;
  };
  try {
    // The first time fills what the engine keeps of its own.
    const before = await run();
    const bytesEach = ((await run()) - before) / runs;
    assert.ok(bytesEach < 50, `${bytesEach} bytes are kept of each`);
    const refused = session.run((sql) => sql`select 1 / ${0}::int`);
    await assert.rejects(refused, { code: '22012' });
    assert.equal((await session.run((sql) => sql`select 1 as one`)).length, 1);
  } finally {
    session.close();
  }
});

test(
  'a pool of one keeps its session and its locks however long it lives; another one replaces old sessions',
  limited,
  async () => {
    for (const once of [true, false]) {
      const clock = { ms: 1000 };
      await withPool({ once, idleTimeoutMs: once ? 20 : 0, nowMs: () => clock.ms }, async (sql) => {
        const before = await processOf(sql);
        await sql`select pg_advisory_lock(77, 45)`;
        clock.ms += maxLifeMs + 1;
        // Given back to the pool after it has grown old.
        await processOf(sql);
        assert.equal((await processOf(sql)) === before, once);
        const [lock] = await sql`select pg_advisory_unlock(77, 45) as held`;
        assert.equal(lock?.['held'], once);
      });
    }
  },
);

test('what a burst needed is given back, but for the sessions that are kept', limited, async () => {
  const clock = { ms: 1000 };
  const own = { applicationName: 'bramble/test-burst', max: 5, idleTimeoutMs: 20, keep: 2, nowMs: () => clock.ms };
  await withPool(own, async (sql) => {
    const count = async () =>
      (
        await sql<{ count: number }[]>`
          select count(*)::int as count from pg_stat_activity where application_name = ${own.applicationName}`
      )[0]?.count;
    await Promise.all(Array.from({ length: 5 }, () => sql`select pg_sleep(0.05)`));
    assert.equal(await count(), 5);
    clock.ms += 21;
    await until('three are closed', 30_000, async () => (await count()) === 2);
    clock.ms += 21;
    assert.equal(await count(), 2);
  });
});

test('a statement that is only caught is sent once, in a session of the pool', limited, async () => {
  await withPool({}, async (sql) => {
    const pid = await processOf(sql);
    await sql`create table sent (pid int)`;
    await sql`insert into sent values (pg_backend_pid())`.catch(() => assert.fail());
    await sql`insert into sent values (pg_backend_pid())`.finally(() => {});
    const rows = await sql<{ pid: number }[]>`select pid from sent`;
    assert.deepEqual(
      rows.map((row) => row.pid),
      [pid, pid],
    );
  });
});

test(
  'whatever the driver would do outside of the pool, or a statement would lose, is refused by name',
  limited,
  async () => {
    const unsupported = (name: string) => ({ name: 'TypeError', message: new RegExp(`^${name} is not supported`) });
    const bare = postgres(url);
    const own = (of: object) =>
      Object.entries(of).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));
    const statement = bare`select 1`;
    const ofStatements = Object.getOwnPropertyNames(Object.getPrototypeOf(statement) as object);
    await bare.end();
    await withPool({}, async (sql) => {
      const call = (of: object, name: string) =>
        (of as Readonly<Record<string, (text: string) => unknown>>)[name]?.('x');
      // The pool's own, and what builds a part of a statement.
      const usual = new Set(['unsafe', 'begin', 'listen', 'end', 'typed', 'types', 'array', 'json', 'PostgresError']);
      const refused = own(bare).filter((name) => !usual.has(name));
      assert.deepEqual(refused.sort(), ['close', 'file', 'largeObject', 'notify', 'reserve', 'subscribe']);
      for (const name of refused) assert.throws(() => call(sql, name), unsupported(name));
      const sends = new Set(['constructor', 'origin', 'then', 'catch', 'finally', 'handle', 'execute']);
      for (const name of ofStatements.filter((name) => !sends.has(name))) {
        for (const built of [sql`select 1`, sql.unsafe('select 1')]) {
          assert.throws(() => call(built, name), unsupported(name));
        }
      }
      assert.equal((await sql`select 1 as one`).length, 1);
    });
  },
);
