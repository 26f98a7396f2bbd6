import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '../testing/condition.ts';
import { type NoticedTable, ringAtChanges } from './change-notices.ts';
import { type Database, openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';

const limited = { timeout: 120_000 };
const { url } = await createTestDatabase();
const listenerName = 'bramble/test-listener';
const outside = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
after(async () => await outside.end({ timeout: 5 }));

async function withListener(work: (db: Database) => Promise<void>): Promise<void> {
  const db = openDatabase(url, { applicationName: listenerName });
  try {
    await work(db);
  } finally {
    await db.end({ timeout: 1 });
  }
}

const listeners = async () =>
  (await outside<{ pid: number }[]>`select pid from pg_stat_activity where application_name = ${listenerName}`).map(
    ({ pid }) => pid,
  );

test(
  'all channels of a process are listened to on one connection, which goes with the last of them',
  limited,
  async () => {
    await withListener(async (db) => {
      const heard: string[] = [];
      const one = await db.listen('one', (payload) => heard.push(`one ${payload}`));
      const two = await db.listen('two', (payload) => heard.push(`two ${payload}`));
      const again = await db.listen('one', (payload) => heard.push(`again ${payload}`));
      assert.equal((await listeners()).length, 1);
      await outside.unsafe(`select pg_notify('two', 'x'), pg_notify('one', 'y'), pg_notify('three', 'z')`);
      await until('all have heard', 30_000, async () => heard.length === 3);
      assert.deepEqual(heard.toSorted(), ['again y', 'one y', 'two x']);
      await one.unlisten();
      await two.unlisten();
      assert.equal((await listeners()).length, 1);
      await again.unlisten();
      await until('the connection is closed', 30_000, async () => (await listeners()).length === 0);
    });
  },
);

test('after a time in which nobody listened everybody is told once more', limited, async () => {
  await withListener(async (db) => {
    const heard: string[] = [];
    let listened = 0;
    await db.listen(
      'one',
      (payload) => heard.push(`one "${payload}"`),
      () => {
        listened += 1;
      },
    );
    await db.listen('two', (payload) => heard.push(`two "${payload}"`));
    assert.deepEqual([heard, listened], [[], 1]);
    const [before] = await listeners();
    await outside`select pg_terminate_backend(${before ?? 0})`;
    await until('everybody is told', 30_000, async () => heard.length === 2);
    assert.deepEqual([heard.toSorted(), listened], [['one ""', 'two ""'], 2]);
    await outside.unsafe(`select pg_notify('two', 'later')`);
    await until('the new connection hears', 30_000, async () => heard.length === 3);
    assert.deepEqual(heard.at(-1), 'two "later"');
  });
});

test('whoever writes a table that is looked at seldom tells of it, without knowing', limited, async () => {
  const writes: Record<NoticedTable, string> = {
    setting: `insert into setting (key, value) values ('test', '{}')`,
    authority: `delete from authority`,
    authority_statement: `delete from authority_statement`,
    revocation_list: `delete from revocation_list`,
    srp_renewal: `delete from srp_renewal`,
    srp_clearance: `delete from srp_clearance`,
    srp_credential: `update srp_credential set revoked_at = now()`,
    notice: `insert into notice (target_id, at, kind, message) values (gen_random_uuid(), now(), 'test', 'test')`,
    audit_record: `insert into audit_record (kind, operation) values ('marker', 'test')`,
    host_invitation: `delete from host_invitation`,
    router: `delete from router`,
    router_request: `update router_request set refusal = 'test'`,
    event: `insert into event (kind, message) values ('test', 'test')`,
  };
  await withListener(async (db) => {
    for (const [table, statement] of Object.entries(writes)) {
      const rung: string[] = [];
      const bell = (name: string) => ({ ring: () => rung.push(name) });
      const own = await ringAtChanges(db, [table as NoticedTable], bell('own'));
      const other = await ringAtChanges(db, [], bell('other'));
      await outside.unsafe(statement);
      await until(`${table} is told of`, 30_000, async () => rung.length > 0);
      assert.ok(!rung.includes('other'), table);
      await Promise.all([own.unlisten(), other.unlisten()]);
    }
  });
});

test('many notices cause few looks, and none goes without one', limited, async () => {
  await withListener(async (db) => {
    let rings = 0;
    const startedAt = performance.now();
    const listening = await ringAtChanges(db, ['setting'], { ring: () => rings++ });
    for (let number = 0; number < 500; number++) await outside`select pg_notify('bramble_change', 'setting')`;
    await until('all were heard', 30_000, async () => rings > 1);
    await listening.unlisten();
    // One at once, and one for each tenth of a second; a timer may be a little early.
    assert.ok(rings <= 2 + (performance.now() - startedAt) / 90, `${rings} rings`);
  });
});
