/** What becomes of a statement whose session is cut while it starts: by a proxy, on the way to a real PostgreSQL. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { openPool } from './session-pool.ts';

const limited = { timeout: 60_000 };
const { url } = await createTestDatabase();

/** @param cuts whether to close the connection of this number instead of passing its message of this number on */
async function startProxy(t: TestContext, cuts: (connection: number, message: number) => boolean) {
  const server = new URL(url);
  const sockets = new Set<net.Socket>();
  const counted = { connections: 0, messages: 0 };
  const proxy = net.createServer((client) => {
    counted.connections += 1;
    const connection = counted.connections;
    const upstream = net.connect(Number(server.port), server.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    let messages = 0;
    client.on('data', (data) => {
      messages += 1;
      counted.messages = messages;
      if (!cuts(connection, messages)) upstream.write(data);
      else {
        client.end();
        upstream.destroy();
      }
    });
    upstream.pipe(client);
    client.once('close', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((proxy.address() as net.AddressInfo).port);
  return { url: through.href, counted };
}

/** How many messages the start of a session takes. */
async function messagesOfStart(t: TestContext): Promise<number> {
  const { url: through, counted } = await startProxy(t, () => false);
  const db = openDatabase(through, { applicationName: 'bramble/test' });
  await db`select 1`;
  // The last one was the statement.
  const messages = counted.messages - 1;
  await db.end({ timeout: 1 });
  return messages;
}

test(
  'a statement waits for another session where its own is cut at any moment of its start, however impatient',
  limited,
  async (t) => {
    const last = await messagesOfStart(t);
    assert.ok(last > 1, `${last} messages`);
    for (let at = 1; at <= last; at += 1) {
      const cutTwice = (connection: number, message: number) => connection <= 2 && message === at;
      const { url: through, counted } = await startProxy(t, cutTwice);
      const db = openDatabase(through, { applicationName: 'bramble/test', max: 2, patienceMs: () => 0 });
      // Anything but a read: that would be sent again in any case.
      const [row] = await db`insert into setting (key, value) values (${`cut-${at}`}, '{}') returning key`;
      assert.deepEqual([row?.['key'], counted.connections], [`cut-${at}`, 3]);
      await db.end({ timeout: 1 });
    }
  },
);

test('it does not wait for good: where every session is cut for a second, it fails', limited, async (t) => {
  const { url: through, counted } = await startProxy(t, (_, message) => message === 1);
  const clock = { ms: 1000 };
  const sql = openPool(through, {
    ...{ applicationName: 'bramble/test', max: 1, idleTimeoutMs: 0, once: false, patienceMs: () => 0 },
    nowMs: () => clock.ms,
    onUnreachable: () => {
      if (counted.connections === 3) clock.ms += 1000;
    },
  });
  await assert.rejects(async () => await sql`select 1`, { code: 'CONNECTION_CLOSED' });
  assert.equal(counted.connections, 3);
  await sql.end({ timeout: 1 });
});
