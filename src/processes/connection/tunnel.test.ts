import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Stream, connect, createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ErrorCode } from '../../base/error-codes.ts';
import { allowedHosts } from '../../instances/allowed-hosts.ts';
import { until } from '../../testing/condition.ts';
import { createTunnels, type TunnelOptions } from './tunnel.ts';
import type { TunnelAuthorization } from './tunnel-rights.ts';

const limited = { timeout: 60_000 };

/** A connection service between a device and an internal host that echoes; what the database says can be changed. */
async function stage(t: TestContext, options: Partial<TunnelOptions> = {}) {
  const says = {
    authorization: 'allowed' as TunnelAuthorization,
    patterns: [] as string[],
    /** Of the services that serve a device which is not served here. */
    elsewhere: undefined as string[] | undefined,
    /** Answers nothing while it is set. */
    silent: false,
    asked: [] as number[],
    cuts: [] as ErrorCode[],
    nowMs: 0,
  };
  const atHost = new Set<Socket>();
  const host = createServer({ allowHalfOpen: true }, (socket) => {
    atHost.add(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const hostPort = await listen(t, host);
  says.patterns = [`127.0.0.1:${hostPort}`];
  const tunnels = createTunnels({
    rights: async (fingerprints) => {
      says.asked.push(fingerprints.length);
      if (says.silent) return await new Promise(() => undefined);
      return {
        authorizations: new Map(fingerprints.map((each) => [each, says.authorization])),
        elsewhere: new Map(
          says.elsewhere === undefined
            ? []
            : fingerprints.map((each) => [each, allowedHosts(says.elsewhere ?? [])] as const),
        ),
        rule: { hosts: allowedHosts(says.patterns), own: [] },
      };
    },
    recheckMs: 10,
    now: () => says.nowMs,
    onRefused: (code) => says.cuts.push(code),
    ...options,
  });
  const link = createHttp2Server();
  link.on('stream', (stream: ServerHttp2Stream, headers) => tunnels.handle(stream, headers));
  const session = connect(`http://127.0.0.1:${await listen(t, link)}`);
  t.after(() => {
    session.destroy();
    for (const socket of atHost) socket.destroy();
  });
  const open = async (target = `127.0.0.1:${hostPort}`, certificate = randomBytes(32)) => {
    const header = `:${certificate.toString('base64')}:`;
    const stream = session.request({ ':method': 'CONNECT', ':authority': target, 'client-cert': header });
    stream.on('error', () => undefined);
    const [headers] = await once(stream, 'response');
    return {
      stream,
      status: Number(headers[':status']),
      code: headers['bramble-code'],
      reason: headers['bramble-reason'],
    };
  };
  return { says, tunnels, open, hostPort, atHost };
}

async function listen(t: TestContext, server: Server | ReturnType<typeof createHttp2Server>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function echoes(stream: ClientHttp2Stream): Promise<void> {
  stream.write('x');
  assert.equal(String((await once(stream, 'data'))[0]), 'x');
}

async function cut(stream: ClientHttp2Stream): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.resume().once('close', resolve));
  assert.notEqual(stream.rstCode, 0, 'it is broken off, not ended in good order');
}

for (const [what, code, change] of [
  ['the device is removed, or has another certificate', 'ERR_UNKNOWN_DEVICE', { authorization: 'unknown-device' }],
  ['no connection service serves its account any more', 'ERR_TUNNEL_NOT_SERVED', { authorization: 'not-served' }],
  ['the host leaves the list', 'ERR_TUNNEL_HOST_NOT_ALLOWED', { patterns: ['other.example:443'] }],
] as const) {
  test(`an open tunnel is cut when ${what}`, limited, async (t) => {
    const { says, tunnels, open, atHost } = await stage(t);
    const { stream, status } = await open();
    assert.equal(status, 200);
    await echoes(stream);
    const [socket] = atHost;
    const brokenAtHost = new Promise((resolve) => socket?.once('close', resolve));
    Object.assign(says, change);
    await cut(stream);
    await brokenAtHost;
    assert.deepEqual([tunnels.cut, says.cuts[0]], [1, code]);
  });
}

test('a tunnel outlasts the move of its account, by the list of those that serve it now', limited, async (t) => {
  const { says, tunnels, open, hostPort } = await stage(t);
  const { stream } = await open();
  Object.assign(says, { authorization: 'not-served', elsewhere: [`127.0.0.1:${hostPort}`] });
  says.asked.length = 0;
  await until('it was asked three times', 30_000, () => says.asked.length >= 3);
  await echoes(stream);
  assert.equal((await open()).code, 'ERR_TUNNEL_NOT_SERVED', 'a new one is for the other services');
  Object.assign(says, { elsewhere: ['other.example:443'] });
  await cut(stream);
  assert.equal(tunnels.cut, 1);
  assert.ok(says.cuts.includes('ERR_TUNNEL_HOST_NOT_ALLOWED'), 'by the list of the others');
});

test('all open tunnels are asked about in one question, and those whose right stands go on', limited, async (t) => {
  const { says, tunnels, open } = await stage(t);
  const streams = [];
  for (let count = 0; count < 5; count += 1) streams.push((await open()).stream);
  const same = randomBytes(32);
  for (let count = 0; count < 2; count += 1) streams.push((await open(undefined, same)).stream);
  says.asked.length = 0;
  await until('it was asked three times', 30_000, () => says.asked.length >= 3);
  assert.deepEqual(new Set(says.asked), new Set([6]));
  for (const stream of streams) await echoes(stream);
  assert.deepEqual([tunnels.open, tunnels.cut], [7, 0]);
});

test('while nobody can say whether it may go on a tunnel does, for a minute', limited, async (t) => {
  const { says, open } = await stage(t);
  const { stream } = await open();
  says.silent = true;
  says.nowMs = 59_000;
  await echoes(stream);
  says.nowMs = 61_000;
  await cut(stream);
  assert.equal(says.cuts[0], 'ERR_TUNNEL_UNDECIDED');
});

test('no tunnel is open for longer than the longest may be, whatever it carries', limited, async (t) => {
  const { says, open } = await stage(t, { unconfirmedMs: Number.POSITIVE_INFINITY });
  const { stream } = await open();
  says.nowMs = 12 * 3_600_000 - 1;
  await echoes(stream);
  says.nowMs += 1;
  await cut(stream);
  assert.equal(says.cuts[0], 'ERR_TUNNEL_EXPIRED');
});

test('a listed name is resolved once, and only addresses that are allowed are dialled', limited, async (t) => {
  const resolved: string[] = [];
  let addresses = ['127.0.0.1'];
  const { says, tunnels, open, hostPort } = await stage(t, {
    resolve: async (name) => {
      resolved.push(name);
      return addresses.map((address) => ({ address, family: 4 }));
    },
  });
  const target = `rebound.example:${hostPort}`;
  const unlisted = await open(target);
  assert.deepEqual([unlisted.status, unlisted.code, resolved], [403, 'ERR_TUNNEL_HOST_NOT_ALLOWED', []]);
  says.patterns = [target];
  const rebound = await open(target);
  assert.deepEqual([rebound.status, rebound.code], [403, 'ERR_TUNNEL_ADDRESS_RESERVED']);
  assert.match(String(rebound.reason), /rebound\.example:\d+ resolves to 127\.0\.0\.1, which is loopback/);
  assert.equal(resolved.length, 1);
  // The second address is listed as such; the first, which is not, is never dialled.
  addresses = ['169.254.169.254', '127.0.0.1'];
  says.patterns = [target, `127.0.0.1:${hostPort}`];
  const { stream, status } = await open(target);
  assert.equal(status, 200);
  await echoes(stream);
  assert.equal(resolved.length, 2);
  // What the name leads to from then on changes nothing for the tunnel that stands.
  addresses = ['169.254.169.254'];
  await echoes(stream);
  assert.equal(tunnels.cut, 0);
  stream.close();
});

test('a suspended enrolment is heard by a new tunnel, not by one that stands, and keeps both', limited, async (t) => {
  const heard: string[] = [];
  const { says, open, tunnels } = await stage(t, { onSuspended: (fingerprint) => heard.push(fingerprint) });
  const standing = await open();
  assert.equal(standing.status, 200);
  const before = says.asked.length;
  says.authorization = 'suspended';
  await until('it was asked about again', 30_000, () => says.asked.length >= before + 3);
  assert.deepEqual([tunnels.open, tunnels.cut, heard.length], [1, 0, 0]);
  assert.equal((await open()).status, 200);
  assert.deepEqual([tunnels.open, tunnels.cut, heard.length], [2, 0, 1]);
});
