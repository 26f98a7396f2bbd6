import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { queryObjects } from 'node:v8';
import postgres from 'postgres';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { until } from '../../testing/condition.ts';
import { watchDesired } from './desired-state.ts';
import { createJournal } from './supervisor-fixture.ts';

const database = await createTestDatabase();
const sql = postgres(database.url, { max: 2 });
after(async () => await sql.end());

/** Watches until the test ends; `lookAgain` resolves when it has looked after a notification. */
function watch(t: TestContext, host: string) {
  const journal = createJournal();
  const controller = new AbortController();
  let looks = 0;
  const done = watchDesired({
    host,
    openDatabase: async () => ({ url: database.url, adopted: true, pid: null }),
    ownAddress: (url) => url,
    onDesired: () => {
      looks += 1;
    },
    self: { host, release: '1.2.0', postgresBinaries: null },
    assertAdmitted: async () => undefined,
    onEvent: journal.onEvent,
    signal: controller.signal,
  });
  t.after(async () => {
    controller.abort();
    await done;
  });
  const lookAgain = async () => {
    const before = looks;
    await sql`notify bramble_desired`;
    await until('it looks again', 60_000, () => looks > before);
  };
  return { journal, lookAgain };
}

test('looking again and again keeps nothing', async (t) => {
  const { lookAgain } = watch(t, 'desired-one');
  const promises = async () => {
    await lookAgain();
    return queryObjects(Promise, { format: 'count' });
  };
  await lookAgain();
  const before = await promises();
  for (let look = 0; look < 200; look++) await lookAgain();
  assert.ok((await promises()) < before + 100);
});

test('a supervisor that cannot say what it is says so once, and goes on looking', async (t) => {
  const [{ name } = { name: '' }] = await sql<{ name: string }[]>`select current_database() as name`;
  await sql`alter database ${sql(name)} set default_transaction_read_only = on`;
  t.after(async () => await sql`alter database ${sql(name)} reset default_transaction_read_only`);
  const { journal, lookAgain } = watch(t, 'desired-two');
  assert.equal((await journal.next('not-reported')).code, '25006');
  for (let look = 0; look < 3; look++) await lookAgain();
  // A new session is told to nobody either: the reason is the same.
  await sql`select pg_terminate_backend(pid) from pg_stat_activity
             where datname = ${name} and application_name like 'bramble/supervisor@desired-two#%'`;
  await journal.next('database-lost');
  await journal.next('database-ready');
  for (let look = 0; look < 3; look++) await lookAgain();
  assert.deepEqual(
    journal.all.map(({ type }) => type),
    ['database-ready', 'not-reported', 'database-lost', 'database-ready'],
  );
});
