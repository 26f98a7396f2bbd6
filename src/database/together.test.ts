import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { administrationTransaction, takeReleaseLock } from './release-lock.ts';
import { beginTogether, failUnless, isFailedCondition } from './together.ts';

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
        return statements.toSpliced(place, 0, tx`select ${failUnless(tx, tx`${place}::int < 0`)}`);
      }),
      isFailedCondition,
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

test('a transaction whose statements could not be made leaves no session behind that is in it', async () => {
  const alone = openDatabase(url, { applicationName: 'alone', max: 1 });
  const unmade = () => {
    throw new Error('unmade');
  };
  await assert.rejects(beginTogether(alone, unmade), { message: 'unmade' });
  await alone`insert into item values (6)`;
  assert.deepEqual(await items(), [6]);
  await alone.end();
});

test('a session that ended unnoticed fails its transaction, and leaves no unhandled rejection', async () => {
  const victim = openDatabase(url, { applicationName: 'victim', max: 1 });
  await beginTogether(victim, (tx) => [tx`select 1`]);
  const ending = `
    import postgres from ${JSON.stringify(import.meta.resolve('postgres'))};
    const sql = postgres(${JSON.stringify(url)}, { max: 1 });
    await sql\`select pg_terminate_backend(pid, 30000) from pg_stat_activity where application_name = 'victim'\`;
    await sql.end();`;
  // After a timer the process hears of its sockets before it goes on with what it has put off; while it waits for another one, of nothing.
  await delay(1);
  execFileSync(process.execPath, ['--input-type=module', '-e', ending], { timeout: 60_000 });
  // So long that they are written at once, and not when the process comes to it.
  const long = (n: number) => `select ${n} /* ${'x'.repeat(3000)} */`;
  await assert.rejects(beginTogether(victim, (tx) => [tx.unsafe(long(1)), tx.unsafe(long(2))]));
  await victim.end();
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
  await assert.rejects(write('1.1.0'), isFailedCondition);
  assert.deepEqual(await items(), []);
  await write('1.2.0');
  assert.deepEqual(await items(), [7]);
  await assert.rejects(
    administrationTransaction(db, '1.1.0', async () => {}),
    { code: 'ERR_RELEASE_FENCED' },
  );
});
