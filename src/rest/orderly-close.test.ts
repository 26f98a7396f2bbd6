import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { test } from 'node:test';
import { BrambleError } from '../base/errors.ts';
import { closeInOrder } from './orderly-close.ts';
import { createRestServer } from './rest-server.ts';

const limited = { timeout: 60_000 };
/** Longer than a test may take. */
const noEnd = 120_000;

async function listening() {
  const app = createRestServer({
    ...{ maxBodyBytes: 1000, release: '1.5.0', log: { error: () => undefined } },
    unknownPath: () => new BrambleError('ERR_NOT_FOUND', 'There is nothing.'),
  });
  app.get('/here', async () => 'here');
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, port: (app.server.address() as AddressInfo).port };
}

test('who was accepted just before the end is still heard and answered', limited, async () => {
  const { app, port } = await listening();
  const accepted = once(app.server, 'connection');
  const socket = connect(port, '127.0.0.1');
  await accepted;
  const closed = closeInOrder(app, noEnd);
  socket.write('GET /here HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.match(await textOf(socket), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*here$/i);
  await closed;
});

test('a connection that is kept for more requests keeps no server from ending', limited, async () => {
  const { app, port } = await listening();
  const agent = new Agent({ keepAlive: true });
  const [answer] = (await once(get({ agent, port, host: '127.0.0.1', path: '/here' }), 'response')) as [
    IncomingMessage,
  ];
  assert.equal(await textOf(answer), 'here');
  await closeInOrder(app, noEnd);
  agent.destroy();
});

test('a connection on which nothing is ever said is ended after the grace', limited, async () => {
  const { app, port } = await listening();
  const accepted = once(app.server, 'connection');
  const socket = connect(port, '127.0.0.1');
  await accepted;
  const ended = once(socket, 'close');
  socket.resume().on('error', () => undefined);
  await closeInOrder(app, 1);
  await ended;
});
