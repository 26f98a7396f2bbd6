import assert from 'node:assert/strict';
import { type AddressInfo, connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { test } from 'node:test';
import { BrambleError } from '../base/errors.ts';
import { closeInOrder } from './orderly-close.ts';
import { createRestServer } from './rest-server.ts';

const limited = { timeout: 60_000 };

async function listening() {
  const app = createRestServer({
    ...{ maxBodyBytes: 1000, release: '1.5.0', log: { error: () => undefined } },
    unknownPath: () => new BrambleError('ERR_NOT_FOUND', 'There is nothing.'),
  });
  const asked: string[] = [];
  app.get('/:name', async ({ params }) => {
    const { name } = params as { name: string };
    asked.push(name);
    await new Promise(setImmediate);
    return name;
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, asked, port: (app.server.address() as AddressInfo).port };
}

const head = (name: string) => `GET /${name} HTTP/1.1\r\nHost: x\r\n\r\n`;

test(
  'of a thousand requests that a connection sends at once, one is answered, and the connection ends',
  limited,
  async () => {
    const { app, asked, port } = await listening();
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).write(Array.from({ length: 1000 }, (_, index) => head(`n${index}`)).join(''));
    assert.match(await textOf(socket), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*n0$/i);
    assert.deepEqual(asked, ['n0']);
    await closeInOrder(app);
  },
);

test('one after the other, a connection has as many as it likes', limited, async () => {
  const { app, asked, port } = await listening();
  const socket = connect(port, '127.0.0.1');
  for (const name of ['a', 'b', 'c']) {
    socket.write(head(name));
    let seen = '';
    while (!seen.endsWith(`\r\n\r\n${name}`))
      seen += String(await new Promise((resolve) => socket.once('data', resolve)));
  }
  socket.end();
  assert.deepEqual(asked, ['a', 'b', 'c']);
  await closeInOrder(app);
});
