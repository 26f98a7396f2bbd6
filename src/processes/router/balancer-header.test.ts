/**
 * A balancer in front of the public port: a TCP forwarder with an address of its own, which sends a header ahead of each
 * connection; and HAProxy, where it is installed.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { localHeader, proxyHeader } from '../../protocol/proxy-header-fixture.ts';
import { lacks } from '../../testing/clients.ts';
import { inTime, until } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import type { LimitReason } from './public-connections.ts';
import { ask, createStage, newToken, nextUp, type Stage } from './router-fixture.ts';

const balancer = '127.0.0.2';
const skip = process.platform !== 'linux' && 'this system has one loopback address';

describe('with a balancer before the public port', { skip }, () => {
  let stage: Stage;
  let path: string;
  let addresses: unknown[] = [];
  let limited: LimitReason[] = [];

  before(async () => {
    stage = await createStage({
      balancers: ['127.0.0.2/31'],
      onLimit: (reason) => limited.push(reason),
      limits: { handshakesPerSecond: 40 },
    });
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    path = `/mdm/${token}/connect`;
    const request = (
      asked: { headers: Record<string, unknown> },
      answer: { writeHead(status: number): { end(): void } },
    ) => {
      addresses.push(asked.headers['bramble-remote-address']);
      answer.writeHead(200).end();
    };
    await nextUp(await stage.dial('S00000001', { handlers: { request } }));
  });
  after(() => stage.close());

  /** Connects to the router as the balancer does, and sends these bytes. */
  async function fromBalancer({ publicPort }: Stage, ...pieces: Buffer[]): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: publicPort, localAddress: balancer, noDelay: true });
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
    return socket;
  }

  /** Forwards connections, the first bytes of the client in one piece with the end of the header. */
  async function forwarder(t: TestContext, headers: () => Buffer[], to = stage): Promise<Stage> {
    const server = createServer((client) => {
      client.on('error', () => undefined);
      client.once('data', (first: Buffer) => {
        client.pause();
        const pieces = headers();
        const last = Buffer.concat([...pieces.splice(-1), first]);
        void fromBalancer(to, ...pieces, last).then((onward) => {
          onward.on('close', () => client.destroy());
          client.on('close', () => onward.destroy());
          client.pipe(onward).pipe(client);
        });
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return { ...to, publicPort: (server.address() as AddressInfo).port };
  }

  const isClosed = async (socket: Socket) => {
    socket.resume();
    if (!socket.closed) await inTime('the router closes the connection', 60_000, once(socket, 'close'));
  };

  test('the address that it tells is the device’s, whatever pieces the header comes in', async (t) => {
    const header = proxyHeader('192.0.2.7', Buffer.alloc(200));
    const ways = [[header], [...header].map((byte) => Buffer.of(byte)), [header.subarray(0, 20), header.subarray(20)]];
    for (const pieces of ways) {
      addresses = [];
      const through = await forwarder(t, () => [...pieces]);
      assert.equal((await ask(through, path)).status, 200);
      assert.deepEqual(addresses, ['192.0.2.7']);
    }
    addresses = [];
    const through = await forwarder(t, () => [proxyHeader('2001:db8:0:0:0:0:0:5')]);
    const session = connectHttp2(`https://router.test:${through.publicPort}`, {
      createConnection: () =>
        connectTls({
          ...{ host: '127.0.0.1', port: through.publicPort, servername: 'router.test', ALPNProtocols: ['h2'] },
          ca: stage.domain.certificatePem,
        }),
    });
    t.after(() => session.destroy());
    const stream = session.request({ ':method': 'PUT', ':path': path });
    const [answer] = await once(stream.end(), 'response');
    assert.equal(answer[':status'], 200);
    assert.deepEqual(addresses, ['2001:db8::5']);
  });

  test('when it speaks for itself the connection is its own', async (t) => {
    addresses = [];
    assert.equal((await ask(await forwarder(t, () => [localHeader(Buffer.alloc(12))]), path)).status, 200);
    assert.deepEqual(addresses, [balancer]);
  });

  test('others connect without a header, and none of theirs is believed', async () => {
    addresses = [];
    assert.equal((await ask(stage, path)).status, 200);
    assert.deepEqual(addresses, ['127.0.0.1']);
    const liar = connect({ host: '127.0.0.1', port: stage.publicPort });
    liar.on('error', () => undefined);
    liar.write(proxyHeader('192.0.2.7'));
    const tls = connectTls({ socket: liar, servername: 'router.test', ca: stage.domain.certificatePem });
    await assert.rejects(once(tls, 'secureConnect'));
    assert.deepEqual(addresses, ['127.0.0.1']);
  });

  test('its connections are closed if they begin otherwise, and counted', async () => {
    const clientHello = Buffer.from('1603010200010001fc0303', 'hex');
    const firstVersion = Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 5 443\r\n');
    for (const bytes of [clientHello, firstVersion, Buffer.from('\r\n\r\n\0\r\nQUIT\n\x31')]) {
      limited = [];
      await isClosed(await fromBalancer(stage, bytes));
      assert.deepEqual(limited, ['balancer-header']);
    }
    limited = [];
    const check = await fromBalancer(stage);
    check.end();
    await isClosed(check);
    assert.deepEqual(limited, [], 'a check whether the port is open is nothing to report');
  });

  test('a header that never ends ends its connection, which has a place until then', async (t) => {
    const reasons: LimitReason[] = [];
    const impatient = await createStage({
      balancers: [balancer],
      onLimit: (reason) => reasons.push(reason),
      limits: { firstRequestMs: 50 },
    });
    t.after(() => impatient.close());
    const socket = await fromBalancer(impatient, proxyHeader('192.0.2.7').subarray(0, 20));
    await isClosed(socket);
    assert.deepEqual(reasons, ['no-request-in-time']);
    await until('its place is free', 60_000, async () => impatient.router.connections.size === 0);
  });

  test('devices behind it take turns for TLS by their own addresses', async (t) => {
    let waiting = 0;
    // Of 100 handshakes it would be the turn of the last in a minute and a half.
    const slow = await createStage({
      balancers: [balancer],
      onLimit: (reason) => {
        if (reason === 'handshakes') waiting += 1;
      },
      limits: { handshakesPerSecond: 1 },
    });
    t.after(() => slow.close());
    const from = (address: string) => forwarder(t, () => [proxyHeader(address)], slow);
    const [many, other] = [await from('192.0.2.1'), await from('192.0.2.2')];
    const open = (through: Stage) => {
      const socket = connectTls({
        ...{ host: '127.0.0.1', port: through.publicPort, servername: 'router.test' },
        ca: slow.domain.certificatePem,
      });
      socket.on('error', () => undefined);
      t.after(() => socket.destroy());
      return socket;
    };
    let secured = 0;
    const flood = Array.from({ length: 100 }, () => open(many));
    for (const socket of flood) socket.once('secureConnect', () => (secured += 1));
    await until('they wait for their turns', 60_000, async () => waiting > 80);
    await once(open(other), 'secureConnect');
    assert.ok(secured < flood.length, 'another address waited for all of them');
  });

  test('HAProxy’s header is read', { skip: lacks('haproxy') }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'bramble-haproxy-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const port = await freePort();
    const file = join(folder, 'haproxy.cfg');
    await writeFile(
      file,
      [
        'defaults',
        '  mode tcp',
        '  timeout connect 10s',
        '  timeout client 1m',
        '  timeout server 1m',
        'listen devices',
        `  bind 127.0.0.1:${port}`,
        `  server router 127.0.0.1:${stage.publicPort} source ${balancer} send-proxy-v2-ssl-cn proxy-v2-options unique-id`,
        '  unique-id-format %[uuid()]',
        '',
      ].join('\n'),
    );
    const haproxy = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'inherit'] });
    t.after(async () => {
      haproxy.kill('SIGKILL');
      await exitWithin(haproxy, 60_000, 'haproxy');
    });
    const through = { ...stage, publicPort: port };
    addresses = [];
    await until('a device is served through it', 60_000, async () => {
      return (await ask(through, path, { localAddress: '127.0.0.9' })).status === 200;
    });
    assert.deepEqual(addresses, ['127.0.0.9']);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
