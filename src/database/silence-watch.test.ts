/** Servers that vanish without a word while a statement runs, and one that only takes long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestAuthority } from '../link/link-fixture.ts';
import { until } from '../testing/condition.ts';
import { startServer } from './cluster-fixture.ts';
import { createTestDatabase } from './database-fixture.ts';
import { startForwarder } from './forwarder-fixture.ts';
import { openSession } from './session.ts';
import { Sessions } from './sessions.ts';
import { createSharedQuestions } from './silence-watch.ts';

const limited = { timeout: 60_000 };
const applicationName = 'bramble/test';
const { url } = await createTestDatabase();

test('a statement that was sent into nothing ends as one whose session is lost', limited, async (t) => {
  const forwarder = await startForwarder(t, url);
  const session = await openSession(forwarder.url, { applicationName, silence: { everyMs: 20, answerMs: 200 } });
  t.after(() => session.close());
  forwarder.swallow();
  await assert.rejects(
    session.run((sql) => sql`select 1`),
    { code: /^CONNECTION_/ },
  );
  await session.lost;
});

test('so does one that was being carried out', limited, async (t) => {
  const forwarder = await startForwarder(t, url);
  const session = await openSession(forwarder.url, { applicationName, silence: { everyMs: 20, answerMs: 200 } });
  const other = await openSession(url, { applicationName });
  t.after(() => other.close());
  await other.run((sql) => sql`select pg_advisory_lock(1)`);
  const waiting = assert.rejects(
    session.run((sql) => sql`select pg_advisory_lock(1)`),
    { code: /^CONNECTION_/ },
  );
  await until('it waits at the server', 20_000, async () => {
    const rows = await other.run((sql) => sql`select 1 from pg_locks where locktype = 'advisory' and not granted`);
    return rows.length === 1;
  });
  forwarder.swallow();
  await waiting;
});

test('with the session of the statement go those of its pool that nobody uses', limited, async (t) => {
  const forwarder = await startForwarder(t, url);
  const pool = new Sessions(forwarder.url, {
    ...{ applicationName, max: 3, once: false, idleTimeoutMs: 0, patienceMs: () => 0, onUnreachable: () => {} },
    silence: { everyMs: 20, answerMs: 200 },
  });
  t.after(() => pool.end(0));
  const entered = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const all = Promise.all(entered.map(({ promise }) => promise));
  await Promise.all(
    entered.map(async ({ resolve }) => {
      await pool.within(async (sql) => {
        await sql`select 1`;
        resolve();
        await all;
      });
    }),
  );
  assert.equal(forwarder.open(), 3);
  forwarder.swallow();
  await assert.rejects(
    pool.within((sql) => sql`select 1`),
    { code: /^CONNECTION_/ },
  );
  await until('all three are closed', 20_000, async () => forwarder.open() === 0);
});

test('many sessions that wait ask their server no more often than a few', limited, async (t) => {
  const forwarder = await startForwarder(t, url);
  const other = await openSession(url, { applicationName });
  t.after(() => other.close());
  await other.run((sql) => sql`select pg_advisory_lock(2)`);
  const silence = { everyMs: 100, answerMs: 30_000 };
  const waiting = Array.from({ length: 20 }, async () => {
    const session = await openSession(forwarder.url, { applicationName, silence });
    t.after(() => session.close());
    await session.run((sql) => sql`select pg_advisory_lock_shared(2)`);
  });
  await until('all wait at the server', 20_000, async () => {
    const rows = await other.run((sql) => sql`select 1 from pg_locks where locktype = 'advisory' and not granted`);
    return rows.length === waiting.length;
  });
  const [before, sinceMs] = [forwarder.connections(), performance.now()];
  await until('it was asked twenty times', 40_000, async () => forwarder.connections() - before >= 20);
  const asked = forwarder.connections() - before;
  const halves = (performance.now() - sinceMs) / (silence.everyMs / 2);
  assert.ok(asked <= halves + 3, `${asked} questions in ${halves} halves of the time between two looks`);
  await other.run((sql) => sql`select pg_advisory_unlock(2)`);
  await Promise.all(waiting);
});

test('a question is shared by those who ask the same server soon after, whether it is answered yet or not', async () => {
  let nowMs = 0;
  const asked: PromiseWithResolvers<boolean>[] = [];
  const isThere = createSharedQuestions(
    () => {
      const answer = Promise.withResolvers<boolean>();
      asked.push(answer);
      return answer.promise;
    },
    () => nowMs,
  );
  const limits = { everyMs: 2000, answerMs: 6000 };
  const [one, another] = ['one', 'another'].map((name) => ({ name, port: 5432 }));
  assert.ok(one && another);
  const answers = [isThere(one, limits)];
  nowMs = 999;
  answers.push(isThere(one, limits), isThere(another, limits));
  assert.equal(asked.length, 2);
  asked[0]?.resolve(true);
  answers.push(isThere(one, limits));
  nowMs = 1000;
  answers.push(isThere(one, limits));
  assert.equal(asked.length, 3);
  for (const { resolve } of asked) resolve(false);
  assert.deepEqual(await Promise.all(answers), [true, true, false, true, false]);
});

for (const tls of [false, true]) {
  const how = tls ? 'in TLS' : 'without TLS';
  test(`a statement may take as long as it likes while its server answers others, ${how}`, limited, async (t) => {
    const authority = await createTestAuthority('Databases');
    const server = await startServer(t, tls ? await authority.issue('db', ['localhost']) : undefined);
    const forwarder = await startForwarder(t, server.url);
    const session = await openSession(`${forwarder.url}?sslmode=${tls ? 'require' : 'disable'}`, {
      applicationName,
      silence: { everyMs: 20, answerMs: 30_000 },
    });
    t.after(() => session.close());
    const other = await openSession(server.url, { applicationName });
    t.after(() => other.close());
    await other.run((sql) => sql`select pg_advisory_lock(1)`);
    const waiting = session.run((sql) => sql`select 'answered' as is, pg_advisory_lock(1)`);
    await until('the server was asked several times', 20_000, async () => forwarder.connections() > 4);
    await other.run((sql) => sql`select pg_advisory_unlock(1)`);
    assert.equal((await waiting)[0]?.['is'], 'answered');
    const asked = forwarder.connections();
    await session.run((sql) => sql`select 1`);
    assert.ok(forwarder.connections() - asked <= 1, 'it is asked on although nothing waits');
    const log = await server.log();
    assert.match(log, /ready to accept/);
    assert.doesNotMatch(log, /SSL connection|incomplete|EOF/);
  });
}
