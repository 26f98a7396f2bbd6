/** The check of a database that stops answering in the middle of it. What poolers do: pgbouncer.long.test.ts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { until } from '../testing/condition.ts';
import { isUnreachable } from './connection-loss.ts';
import { createTestDatabase } from './database-fixture.ts';
import { assertOwnSessions } from './pooler-check.ts';

const limited = { timeout: 120_000 };
const applicationName = 'bramble/test';
const { url } = await createTestDatabase();

interface CutCable {
  url: string;
  /** Whether the text was said: from then on nothing passes, in either direction. */
  isCut(): boolean;
  open(): number;
}

/** A way to the database that is cut, though every connection stays, when a client says `text`. */
async function cutAt(text: string, work: (cable: CutCable) => Promise<void>): Promise<void> {
  const database = new URL(url);
  const clients = new Set<net.Socket>();
  let cut = false;
  const relay = net.createServer((client) => {
    const server = net.connect(Number(database.port), database.hostname);
    clients.add(client);
    client.on('data', (chunk: Buffer) => {
      cut ||= chunk.includes(text);
      if (!cut) server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      if (!cut) client.write(chunk);
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => {
        clients.delete(client);
        other.destroy();
      });
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((relay.address() as net.AddressInfo).port);
  try {
    await work({ url: through.href, isCut: () => cut, open: () => clients.size });
  } finally {
    for (const client of clients) client.destroy();
    relay.close();
  }
}

const statements = ['select 1', 'listen bramble_check', 'pg_backend_pid', 'notify bramble_check'];

for (const statement of statements) {
  test(`a database that stalls at "${statement}" is one that does not answer, never a pooler`, limited, async () => {
    await cutAt(statement, async (cable) => {
      await assert.rejects(assertOwnSessions(cable.url, { applicationName, timeoutMs: 3000 }), (error: unknown) => {
        assert.equal((error as { code?: unknown }).code, 'CONNECT_TIMEOUT');
        assert.ok(isUnreachable(error), 'so that it is tried again');
        return true;
      });
      assert.ok(cable.isCut());
      await until('its connections are closed', 60_000, () => cable.open() === 0);
    });
  });

  test(`who waits for the answer to "${statement}" is heard when it is to end`, limited, async () => {
    await cutAt(statement, async (cable) => {
      const stopping = new AbortController();
      const checking = assertOwnSessions(cable.url, { applicationName, timeoutMs: 600_000, signal: stopping.signal });
      const refused = assert.rejects(checking, { code: /^CONNECTION_/ });
      await until('it waits', 60_000, cable.isCut);
      stopping.abort('SIGTERM');
      await refused;
    });
  });
}
