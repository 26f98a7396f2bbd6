/** A primary and its standby, which takes its place. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { inTime, until } from '../testing/condition.ts';
import { startPair } from './cluster-fixture.ts';
import { openDatabase } from './connection.ts';
import { openSession } from './session.ts';

const applicationName = 'bramble/test';

test('a failover is followed: statements wait for the new primary, and nothing acknowledged is lost', async (t) => {
  const { primary, standby } = await startPair(t);
  const url = primary.url.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${standby.port},127.0.0.1:${primary.port}`);
  const db = openDatabase(url, { applicationName, max: 3, patienceMs: () => 120_000 });
  t.after(() => db.end({ timeout: 5 }));
  await db`create table written (number int primary key)`;
  const heard: string[] = [];
  await db.listen('failover', (payload) => void heard.push(payload));

  await primary.kill();
  // A write that was sent to a session which is gone, unnoticed as yet, is not repeated: these have none.
  const newcomers = openDatabase(url, { applicationName, max: 3, patienceMs: () => 120_000 });
  t.after(() => newcomers.end({ timeout: 5 }));
  const waiting = [1, 2, 3].map(async (number) => await newcomers`insert into written values (${number})`);
  // Only the standby is left, which takes no writes.
  await assert.rejects(openSession(url, { applicationName }), (error: Error & { code?: string }) => {
    assert.match(String(error.code), /^CONNECTION_/);
    assert.match(error.message, new RegExp(`:${standby.port}: .*a standby.*:${primary.port}: .*ECONNREFUSED`));
    return true;
  });
  const own = openDatabase(standby.url, { applicationName, max: 1 });
  t.after(() => own.end({ timeout: 5 }));
  await own`select pg_promote(false)`;
  await Promise.all(waiting);
  assert.deepEqual(
    (await db`select number from written order by number`).map((row) => row['number']),
    [1, 2, 3],
  );
  await until('notifications come from the new primary', 60_000, async () => {
    await db`select pg_notify('failover', 'new')`;
    return heard.includes('new');
  });

  // It is made read-only, as before a planned switch: whoever comes now waits.
  await own.unsafe("alter database bramble set default_transaction_read_only = 'on'");
  await assert.rejects(openSession(url, { applicationName }), /read-only/);
  const tried = Promise.withResolvers<void>();
  const late = openDatabase(url, { applicationName, patienceMs: () => 120_000, onUnreachable: () => tried.resolve() });
  t.after(() => late.end({ timeout: 5 }));
  const written = late`insert into written values (4)`.execute();
  await tried.promise;
  await own.unsafe('set default_transaction_read_only = off');
  await own.unsafe('alter database bramble reset default_transaction_read_only');
  await written;
});

test('a host that never answers delays a session by a moment, not by its time-out', async (t) => {
  const { primary } = await startPair(t);
  const accepted = new Set<Socket>();
  const silent = createServer((socket) => void accepted.add(socket.on('error', () => undefined))).listen(
    0,
    '127.0.0.1',
  );
  await once(silent, 'listening');
  t.after(() => {
    for (const socket of accepted) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const url = primary.url.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port},127.0.0.1:${primary.port}`);
  const session = await openSession(url, { applicationName, connectTimeoutMs: 1_000_000 });
  const [row] = await session.run((sql) => sql`select inet_server_port() as port`);
  assert.equal(row?.['port'], primary.port);
  const [loser] = accepted;
  assert.ok(loser);
  if (!loser.closed) await inTime('the other attempt is given up', 60_000, once(loser.resume(), 'close'));
  session.close();
});

test('a session whose server has become read-only is given up at the first write', async (t) => {
  const { primary } = await startPair(t);
  const url = `${primary.url}?target_session_attrs=read-write`;
  const db = openDatabase(url, { applicationName, max: 2 });
  t.after(() => db.end({ timeout: 5 }));
  await db`create table written (number int primary key)`;
  const [before] = await db`select pg_backend_pid() as pid`;
  await db`select set_config('default_transaction_read_only', 'on', false)`;
  await assert.rejects(db`insert into written values (1)`, { code: '25006' });
  await db`insert into written values (1)`;
  const [after] = await db`select pg_backend_pid() as pid`;
  assert.notEqual(after?.['pid'], before?.['pid']);
});
