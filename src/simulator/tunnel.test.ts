import assert from 'node:assert/strict';
import {
  constants,
  createSecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { JournalEvent } from './journal.ts';
import { createLoopbackCertificate } from './loopback-certificate.ts';
import { seededRandom } from './seeded-random.ts';
import { openTunnel } from './tunnel.ts';

async function startEcho(context: TestContext, garble = false, unprocessed = 0) {
  let streams = 0;
  const certificate = await createLoopbackCertificate('echo', ['tunnel.test']);
  const server = createSecureServer({ key: certificate.keyPem, cert: certificate.certificatePem });
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => stream.destroy());
    streams += 1;
    if (streams <= unprocessed) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    if (headers[':authority'] !== 'inside:80') {
      stream.respond({ ':status': 503 });
      stream.end('{"code":"ERR_TUNNEL_TARGET"}');
      return;
    }
    stream.respond({ ':status': 200 });
    stream.on('data', (chunk: Buffer) => stream.write(garble ? chunk.fill(0) : chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const cut = (): void => {
    for (const session of sessions) session.destroy();
  };
  context.after(() => {
    cut();
    server.close();
  });
  const publicUrl = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return { publicUrl, caPem: certificate.caPem, cut };
}

function open(server: { publicUrl: URL; caPem: string }, target: string) {
  const events: JournalEvent[] = [];
  const ended = Promise.withResolvers<void>();
  const tunnel = openTunnel({
    name: 'tunnel-1',
    publicUrl: server.publicUrl,
    tunnelHost: 'tunnel.test',
    target,
    trust: { rootsPem: [server.caPem] },
    random: seededRandom('tunnel'),
    periodMs: 1,
    timeoutMs: 5000,
    journal(event) {
      events.push(event);
      if (event.event !== 'tunnel-opened') ended.resolve();
    },
  });
  return { tunnel, events, ended: ended.promise };
}

test('a tunnel opens, echoes, and a cut connection is journalled as broken', async (context) => {
  const server = await startEcho(context);
  const { tunnel, events, ended } = open(server, 'inside:80');
  assert.equal((await tunnel.opening).kind, 'open');
  assert.equal(tunnel.isOpen(), true);
  server.cut();
  await ended;
  assert.deepEqual(
    events.map(({ event }) => event),
    ['tunnel-opened', 'tunnel-broken'],
  );
});

test('a refused tunnel says status and code', async (context) => {
  const { tunnel } = open(await startEcho(context), 'outside:80');
  assert.deepEqual(await tunnel.opening, { kind: 'refused', httpStatus: 503, code: 'ERR_TUNNEL_TARGET' });
});

test('an echo of other bytes breaks the tunnel', async (context) => {
  const { events, ended } = open(await startEcho(context, true), 'inside:80');
  await ended;
  const last = events.at(-1);
  assert.ok(last?.event === 'tunnel-broken');
  assert.equal(last.reason, 'the echo was not what was sent');
});

test('a CONNECT that was not processed is sent again once, and no more', async (context) => {
  const { tunnel } = open(await startEcho(context, false, 1), 'inside:80');
  assert.equal((await tunnel.opening).kind, 'open');
  tunnel.close();
  const { tunnel: twice } = open(await startEcho(context, false, 2), 'inside:80');
  const opening = await twice.opening;
  assert.ok(opening.kind === 'broken');
  assert.match(opening.reason, /REFUSED_STREAM/);
});
