import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { closeInOrder } from '../../rest/orderly-close.ts';
import { until } from '../../testing/condition.ts';
import { startAdministration } from './administration-fixture.ts';
import { administrationServer } from './administration-server.ts';

const admin = await startAdministration();
const agent = new Agent({ keepAlive: true });
after(async () => {
  agent.destroy();
  await admin.close();
});

async function listening() {
  const app = await administrationServer({ context: admin.context });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, port: (app.server.address() as AddressInfo).port };
}

function beginImport(port: number, name: string): ClientRequest {
  const sending = request({
    agent,
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: '/api/v1/accounts/import',
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/x-ndjson' },
  });
  sending.on('error', () => undefined);
  sending.write(`${JSON.stringify({ name })}\n`);
  return sending;
}

const untilWriting = () =>
  until('rows are written', 30_000, async () => {
    const rows = await admin.db`
      select 1 from pg_stat_activity
       where datname = current_database() and state = 'idle in transaction' and backend_xid is not null`;
    return rows.length > 0;
  });

test('a service that ends answers what is under way, and that answer ends the connection', {
  timeout: 90_000,
}, async () => {
  const { app, port } = await listening();
  const sending = beginImport(port, 'under-way');
  await untilWriting();
  const closing = closeInOrder(app, 60_000);
  await until('it takes nothing new', 30_000, () => !app.server.listening);
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>;
  sending.end();
  const [response] = await answered;
  response.resume();
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers.connection, 'close');
  await closing;
  assert.equal((await admin.db`select 1 from account where name = 'under-way'`).length, 1);
});

test('a request that does not end keeps no service from ending', { timeout: 90_000 }, async () => {
  const { app, port } = await listening();
  const sending = beginImport(port, 'never-whole');
  await untilWriting();
  const cut = new Promise((resolve) => sending.once('close', resolve));
  await closeInOrder(app, 1);
  await cut;
  assert.equal((await admin.db`select 1 from account where name = 'never-whole'`).length, 0);
});
