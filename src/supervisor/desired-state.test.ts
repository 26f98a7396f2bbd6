import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { queryObjects } from 'node:v8';
import postgres from 'postgres';
import { until } from '../base/test-condition.ts';
import { createTestDatabase } from '../database/test-database.ts';
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
