import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, createServer as createSecureServer } from 'node:tls';
import { createLoopbackCertificate } from '../simulator/loopback-certificate.ts';
import { until } from '../testing/condition.ts';
import { shareConnections } from './connection-shares.ts';

const limited = { timeout: 60_000 };
const [here, there, elsewhere] = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];

/** A server that greets whom it lets in. Returns what connects to it from an address, and says whether it was let in. */
async function listening(context: TestContext, limits: { all: number; each: number }) {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket
      .resume()
      .on('error', () => undefined)
      .write('welcome');
  });
  const shares = shareConnections(server, limits);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = async (localAddress: string) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    sockets.push(socket);
    return await welcomed(socket);
  };
  return { open, shares, accepted };
}

async function welcomed(socket: Socket): Promise<{ socket: Socket; isIn: boolean }> {
  socket.on('error', () => undefined);
  const isIn = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true)).once('close', () => resolve(false));
  });
  return { socket, isIn };
}

test('one address has so many at most, and may replace one that it closes', limited, async (context) => {
  const { open } = await listening(context, { all: 100, each: 2 });
  const first = await open(here);
  assert.deepEqual([first.isIn, (await open(here)).isIn, (await open(here)).isIn], [true, true, false]);
  assert.equal((await open(there)).isIn, true);
  first.socket.destroy();
  await until('one more is let in', 30_000, async () => (await open(here)).isIn);
});

test('where all are taken, the address with the most strangers loses the oldest of them', limited, async (context) => {
  const { open } = await listening(context, { all: 4, each: 3 });
  const greedy = [await open(here), await open(here), await open(here)];
  const other = await open(there);
  assert.equal((await open(elsewhere)).isIn, true);
  await until('the oldest is closed', 30_000, () => greedy[0]?.socket.closed === true);
  const left = [greedy[1], greedy[2], other].map((each) => each?.socket.closed);
  assert.deepEqual(left, [false, false, false]);
});

test('one that is kept is closed for nobody', limited, async (context) => {
  const { open, shares, accepted } = await listening(context, { all: 2, each: 2 });
  const [first, second] = [await open(here), await open(here)];
  shares.keep(accepted[0] as Socket);
  assert.equal((await open(there)).isIn, true);
  await until('the stranger’s is closed', 30_000, () => second.socket.closed);
  shares.keep(accepted[2] as Socket);
  assert.deepEqual([(await open(elsewhere)).isIn, first.socket.closed], [false, false]);
});

test('over TLS it is the same', limited, async (context) => {
  const { certificatePem: cert, keyPem: key, caPem: ca } = await createLoopbackCertificate('console');
  const server = createSecureServer(
    { cert, key },
    (socket) => void socket.on('error', () => undefined).write('welcome'),
  );
  shareConnections(server, { all: 2, each: 1 });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const open = async () => {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca });
    context.after(() => socket.destroy());
    return await welcomed(socket);
  };
  const first = await open();
  assert.deepEqual([first.isIn, (await open()).isIn], [true, false]);
  first.socket.destroy();
  await until('one more is let in', 30_000, async () => (await open()).isIn);
});
