import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type OutgoingHttpHeaders } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { createLinkEndpoint } from './link-endpoint.ts';
import { linkSessionOptions } from './session-options.ts';

test('however many requests a router of 1.1 passes on with an invalid authority, the link stays', {
  timeout: 60_000,
}, async (t) => {
  const nothing = () => undefined;
  const endpoint = createLinkEndpoint(
    () => {
      throw new Error('nobody asks');
    },
    { request: (_request, response) => response.end('served') },
    { accepted: nothing, refused: nothing, draining: nothing, failed: nothing },
  );
  const listener = createServer((socket) => endpoint.emit('connection', socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const session = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`, linkSessionOptions);
  t.after(() => {
    session.destroy();
    listener.close();
  });
  const ask = (headers: OutgoingHttpHeaders) =>
    new Promise<number | string>((resolve) => {
      const stream = session.request({ ':path': '/mdm/x/connect', ...headers });
      stream.on('response', (answer) => resolve(Number(answer[':status'])));
      stream.on('error', () => resolve('refused'));
      stream.on('close', () => resolve('closed'));
      stream.resume();
    });
  for (let round = 0; round < 15; round++) {
    await Promise.all(Array.from({ length: 100 }, () => ask({ ':authority': 'a b' })));
  }
  assert.equal(session.closed, false);
  assert.equal(await ask({ ':authority': 'bramble-link' }), 200);
});
