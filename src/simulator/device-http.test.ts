import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { after, test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { openDeviceHttp } from './device-http.ts';
import { createLoopbackCertificate } from './loopback-certificate.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const body = Buffer.from('x');
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

/** Of each connection: what becomes of its first request, of its second… */
type Deed = 'answer' | 'close' | 'begin and close';

async function device(connections: Deed[][]) {
  const { certificatePem, keyPem, caPem } = await createLoopbackCertificate('server');
  const seen: string[] = [];
  let accepted = 0;
  const server: Server = createServer({ cert: certificatePem, key: keyPem }, (socket) => {
    const deeds = connections[accepted] ?? [];
    accepted += 1;
    let asked = 0;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      if (!chunk.includes(' / HTTP/1.1')) return;
      seen.push(`${accepted}: ${String(chunk).split(' ')[0]}`);
      act(socket, deeds[asked] ?? 'close');
      asked += 1;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const abort = new AbortController();
  const http = openDeviceHttp({ rootsPem: [caPem] }, 30_000, abort.signal);
  closing.push(() => {
    http.close();
    server.close();
  });
  const url = new URL(`https://localhost:${(server.address() as AddressInfo).port}/`);
  return { send: (method: 'PUT' | 'POST') => http.send({ method, url, body }), seen };
}

function act(socket: TLSSocket, deed: Deed): void {
  if (deed === 'answer') socket.write(ok);
  else if (deed === 'close') socket.destroy();
  else socket.end('HTTP/1.1 200');
}

test('a PUT whose kept-alive connection ends unheard is sent again over a fresh one, and that is told', async () => {
  const { send, seen } = await device([['answer', 'close'], ['answer']]);
  const first = await send('PUT');
  assert.deepEqual([first.kind, first.sentAgain], ['replied', false]);
  const second = await send('PUT');
  assert.deepEqual([second.kind, second.sentAgain], ['replied', true]);
  assert.deepEqual(seen, ['1: PUT', '1: PUT', '2: PUT']);
});

test('it is sent again once, and no more', async () => {
  const { send, seen } = await device([['answer', 'close'], ['close'], ['answer']]);
  await send('PUT');
  const outcome = await send('PUT');
  assert.deepEqual([outcome.kind, outcome.sentAgain], ['failed', true]);
  assert.deepEqual(seen, ['1: PUT', '1: PUT', '2: PUT']);
});

test('nothing is sent again on a connection of its own, after the first byte of an answer, or by POST', async () => {
  const fresh = await device([['close'], ['answer']]);
  assert.equal((await fresh.send('PUT')).kind, 'failed');
  const begun = await device([['answer', 'begin and close'], ['answer']]);
  await begun.send('PUT');
  assert.equal((await begun.send('PUT')).kind, 'failed');
  const posted = await device([['answer', 'close'], ['answer']]);
  await posted.send('POST');
  assert.equal((await posted.send('POST')).kind, 'failed');
  assert.deepEqual([fresh.seen.length, begun.seen.length, posted.seen.length], [1, 2, 2]);
});
