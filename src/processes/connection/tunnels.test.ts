import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { SrpLink } from '../../link/dialler.ts';
import type { TestIdentity } from '../../link/link-fixture.ts';
import { until } from '../../testing/condition.ts';
import { askRaw, connectRaw, createStage, listenLoopback, nextUp, type Stage } from '../router/router-fixture.ts';
import { createTunnels, type Tunnels } from './tunnel.ts';
import type { TunnelAuthorization } from './tunnel-rights.ts';

describe('a tunnel through router, link and connection service', () => {
  let stage: Stage;
  let device: TestIdentity;
  let session: ClientHttp2Session;
  let echo: Server;
  let echoPort: number;
  let fingerprint: string;
  let authorization: TunnelAuthorization = 'allowed';
  const listed = ({ host, port }: { host: string; port: number }) =>
    host.startsWith('127.') && [echoPort, 1].includes(port);
  const services: Record<string, { link: SrpLink; tunnels: Tunnels }> = {};
  const atHost = new Set<Socket>();
  const known = new Set<string>();

  const dialSession = (identity: TestIdentity | null, servername = 'tunnel.test') =>
    connect(`https://${servername}:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername,
      ca: stage.domain.certificatePem,
      ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
    });

  async function open(on: ClientHttp2Session, target: string) {
    const stream = on.request({ ':method': 'CONNECT', ':authority': target });
    stream.on('error', () => undefined);
    const [headers] = await once(stream, 'response');
    return { stream, status: Number(headers[':status']), code: headers['bramble-code'] as string | undefined };
  }

  async function say(stream: ClientHttp2Stream, text: string): Promise<string> {
    stream.write(text);
    let heard = '';
    while (heard.length < text.length) heard += String((await once(stream, 'data'))[0]);
    return heard;
  }

  before(async () => {
    stage = await createStage({ tunnelHost: 'tunnel.test', openTimeoutMs: 2000 });
    device = await stage.devices.issue('device');
    fingerprint = createHash('sha256').update(new X509Certificate(device.certificatePem).raw).digest('hex');
    known.add(fingerprint);
    stage.routes.set(fingerprint, { identifier: 'S00000001', connectionServices: ['C00000001', 'C00000002'] });
    echo = createServer({ allowHalfOpen: true }, (socket) => {
      atHost.add(socket);
      socket.on('data', (chunk) => socket.write(chunk));
      // Answers the end of the device with a last word: only a half-closed tunnel carries it.
      socket.on('end', () => socket.end('bye'));
      socket.on('error', () => undefined);
      socket.once('close', () => atHost.delete(socket));
    });
    echoPort = await listenLoopback(echo);
    await nextUp(await stage.dial('S00000001'));
    for (const identifier of ['C00000001', 'C00000002']) {
      const tunnels = createTunnels({
        rights: async (asked) => ({
          authorizations: new Map(asked.map((each) => [each, known.has(each) ? authorization : 'unknown-device'])),
          elsewhere: new Map(),
          rule: { hosts: { covers: listed, namesWithin: () => true, namesExactly: () => true }, own: [] },
        }),
      });
      const link = await stage.dial(identifier, {
        handlers: { tunnel: (stream, headers) => tunnels.handle(stream, headers) },
      });
      services[identifier] = { link, tunnels };
      await nextUp(link);
    }
    session = dialSession(device);
  });
  after(async () => {
    session.destroy();
    await stage.close();
    for (const socket of atHost) socket.destroy();
    echo.close();
  });

  test('carries bytes both ways, and the end of one direction leaves the other open', async () => {
    const { stream, status } = await open(session, `127.0.0.1:${echoPort}`);
    assert.equal(status, 200);
    assert.equal(stage.router.tunnelsOpen, 1);
    assert.equal(services['C00000001']?.tunnels.open, 1);
    const large = 'x'.repeat(700_000);
    assert.equal(await say(stream, 'hello'), 'hello');
    assert.equal(await say(stream, large), large);
    const last: string[] = [];
    stream.on('data', (chunk) => last.push(String(chunk)));
    const ended = once(stream, 'close');
    stream.end();
    await ended;
    assert.equal(last.join(''), 'bye');
    await until('the tunnel is closed', 60_000, () => (services['C00000001']?.tunnels.open ?? 0) === 0);
    assert.equal(stage.router.tunnelsOpen, 0);
  });

  test('is reset at the device when the host breaks off', async () => {
    const { stream } = await open(session, `127.0.0.1:${echoPort}`);
    assert.equal(await say(stream, 'x'), 'x');
    const closed = new Promise((resolve) => stream.once('close', resolve));
    for (const socket of atHost) socket.resetAndDestroy();
    await closed;
    assert.notEqual(stream.rstCode, 0);
  });

  test('is reset at the host, never ended in good order, when the device breaks off', async () => {
    const { stream } = await open(session, `127.0.0.1:${echoPort}`);
    assert.equal(await say(stream, 'x'), 'x');
    const socket = [...atHost].at(-1);
    assert.ok(socket);
    let ended = false;
    socket.once('end', () => {
      ended = true;
    });
    const broken = new Promise((resolve) => socket.once('error', resolve));
    stream.destroy(new Error('the device broke the connection'));
    assert.equal(((await broken) as NodeJS.ErrnoException).code, 'ECONNRESET');
    assert.equal(ended, false);
  });

  test('is over at the service and the host, too, when the device resets its stream without an error', async () => {
    const { stream } = await open(session, `127.0.0.1:${echoPort}`);
    assert.equal(await say(stream, 'x'), 'x');
    stream.destroy();
    await until('the tunnel is closed', 60_000, () => services['C00000001']?.tunnels.open === 0);
    await until('the host has seen it', 60_000, () => atHost.size === 0);
  });

  test('is refused: host not allowed 403, nothing listening 502, no certificate, unknown certificate and wrong name 400', async () => {
    const code = async (on: ClientHttp2Session, target: string) => {
      const { stream, status, code } = await open(on, target);
      stream.destroy();
      return [status, code];
    };
    assert.deepEqual(await code(session, 'intranet.example:443'), [403, 'ERR_TUNNEL_HOST_NOT_ALLOWED']);
    const { stream: refused } = await open(session, 'intranet.example:443');
    assert.match(String((await once(refused, 'data'))[0]), /intranet\.example:443 is not on the list of allowed hosts/);
    refused.destroy();
    assert.deepEqual(await code(session, '127.0.0.1:1'), [502, 'ERR_TUNNEL_UPSTREAM']);
    authorization = 'not-served';
    assert.deepEqual(await code(session, `127.0.0.1:${echoPort}`), [403, 'ERR_TUNNEL_NOT_SERVED']);
    authorization = 'allowed';
    for (const [identity, name, expected] of [
      [null, 'tunnel.test', 'ERR_TUNNEL_CERTIFICATE'],
      [await stage.devices.issue('other'), 'tunnel.test', 'ERR_UNKNOWN_DEVICE'],
      [device, 'router.test', 'ERR_TUNNEL_HOST'],
    ] as const) {
      const other = dialSession(identity, name);
      assert.deepEqual(await code(other, `127.0.0.1:${echoPort}`), [400, expected]);
      other.destroy();
    }
  });

  test('of HTTP/1.1 carries bytes both ways, those that came with the request too, and leaves one direction open', async () => {
    const target = `127.0.0.1:${echoPort}`;
    const opened = services['C00000001']?.tunnels.opened ?? 0;
    const socket = await connectRaw(stage, { device, servername: 'tunnel.test' });
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    const closed = once(socket, 'close');
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nhead`);
    while (!heard.endsWith('head')) await once(socket, 'data');
    assert.equal(heard, 'HTTP/1.1 200 Connection Established\r\n\r\nhead');
    assert.equal(stage.router.tunnelsOpen, 1);
    const large = 'x'.repeat(700_000);
    socket.write(large);
    while (!heard.endsWith(large)) await once(socket, 'data');
    socket.end();
    await closed;
    assert.ok(heard.endsWith(`${large}bye`));
    await until('the tunnel is closed', 60_000, () => (services['C00000001']?.tunnels.open ?? 0) === 0);
    assert.equal(services['C00000001']?.tunnels.opened, opened + 1);
    assert.equal(stage.router.tunnelsOpen, 0);
  });

  test('of HTTP/1.1 breaks at one end when the other does', async () => {
    const target = `127.0.0.1:${echoPort}`;
    const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nx`;
    for (const breaks of ['host', 'device'] as const) {
      const below = connectSocket(stage.publicPort, '127.0.0.1');
      const socket = await connectRaw(stage, { device, servername: 'tunnel.test', socket: below });
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk;
      });
      socket.write(request);
      while (!heard.endsWith('x')) await once(socket, 'data');
      const host = [...atHost].at(-1);
      assert.ok(host);
      if (breaks === 'host') {
        const closed = once(socket, 'close');
        host.resetAndDestroy();
        await closed;
        assert.ok(!heard.includes('bye'));
      } else {
        const broken = once(host, 'error');
        below.resetAndDestroy();
        assert.equal(((await broken)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
      }
    }
    await until('no tunnel is open', 60_000, () => stage.router.tunnelsOpen === 0);
  });

  test('of HTTP/1.1 is refused as one of HTTP/2 is, with body and code', async () => {
    const target = `127.0.0.1:${echoPort}`;
    const ofTunnel = { device, servername: 'tunnel.test' };
    for (const [asked, host, given, status, code] of [
      ['intranet.example:443', 'intranet.example:443', ofTunnel, 403, 'ERR_TUNNEL_HOST_NOT_ALLOWED'],
      ['127.0.0.1:1', '127.0.0.1:1', ofTunnel, 502, 'ERR_TUNNEL_UPSTREAM'],
      [target, target, { servername: 'tunnel.test' }, 400, 'ERR_TUNNEL_CERTIFICATE'],
      [target, target, { device }, 400, 'ERR_TUNNEL_HOST'],
      ['intranet', 'a', ofTunnel, 400, 'ERR_TUNNEL_TARGET'],
      ['a@b:1', 'a', ofTunnel, 400, 'ERR_TUNNEL_TARGET'],
      [target, 'a b', ofTunnel, 400, 'ERR_HOST'],
    ] as const) {
      const answer = await askRaw(stage, `CONNECT ${asked} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, given);
      assert.deepEqual([asked, answer.status, answer.code], [asked, status, code]);
      assert.equal(JSON.parse(answer.body).code, code);
    }
  });

  test('opens through a service that came to serve the device a moment ago, when the one remembered is gone', async () => {
    const newcomer = await stage.devices.issue('newcomer');
    const own = createHash('sha256').update(new X509Certificate(newcomer.certificatePem).raw).digest('hex');
    known.add(own);
    stage.routes.set(own, { identifier: 'S00000001', connectionServices: ['C00000009'] });
    const other = dialSession(newcomer);
    const none = await open(other, `127.0.0.1:${echoPort}`);
    assert.deepEqual([none.status, none.code], [503, 'ERR_TUNNEL_NO_SERVICE']);
    stage.routes.set(own, { identifier: 'S00000001', connectionServices: ['C00000009', 'C00000002'] });
    const { stream, status } = await open(other, `127.0.0.1:${echoPort}`);
    assert.equal(status, 200);
    assert.equal(await say(stream, 'anew'), 'anew');
    other.destroy();
  });

  test('opens through the second service when the first is gone, and through none 503', async () => {
    await services['C00000001']?.link.close(100);
    const before = services['C00000002']?.tunnels.opened ?? 0;
    const { stream, status } = await open(session, `127.0.0.1:${echoPort}`);
    assert.equal(status, 200);
    assert.equal(await say(stream, 'second'), 'second');
    assert.equal(services['C00000002']?.tunnels.opened, before + 1);
    stream.destroy();
    await until('the tunnel is closed', 60_000, () => services['C00000002']?.tunnels.open === 0);
  });

  test('that is closed while its service drains is not cut; one that is still open at the limit is, and counted', async () => {
    const { tunnels } = services['C00000002'] ?? {};
    assert.ok(tunnels);
    const [short, long] = await Promise.all([1, 2].map(() => open(session, `127.0.0.1:${echoPort}`)));
    assert.ok(short && long);
    const cut = new Promise((resolve) => long.stream.once('close', resolve));
    const drained = tunnels.drain(200);
    assert.equal(await say(short.stream, 'still'), 'still');
    short.stream.end();
    assert.equal((await open(session, `127.0.0.1:${echoPort}`)).status, 503);
    await until('the first is closed', 60_000, () => tunnels.open <= 1);
    assert.equal(await drained, 1);
    await cut;
    assert.notEqual(long.stream.rstCode, 0);
  });

  test('opens through none when both services are gone', async () => {
    await services['C00000002']?.link.close(100);
    const none = await open(session, `127.0.0.1:${echoPort}`);
    assert.deepEqual([none.status, none.code], [503, 'ERR_TUNNEL_NO_SERVICE']);
    none.stream.destroy();
  });
});
