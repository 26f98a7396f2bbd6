import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2, type ServerHttp2Stream } from 'node:http2';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../../base/clock.ts';
import { createLogger } from '../../process/log/logger.ts';
import { until } from '../../testing/condition.ts';
import type { RouterOptions } from './router.ts';
import { askRaw, connectRaw, createStage, frame, newToken, nextUp, preface, type Stage } from './router-fixture.ts';

const aMinute = { timeout: 60_000 };
/** Longer than any test runs: only the manual clock ends it. */
const graceMs = 600_000;

/** Sleeps end when the test says so; the shorter ones first. */
function manualClock(): Clock & { end(durationMs: number): void } {
  const sleeps: { durationMs: number; wake: () => void }[] = [];
  return {
    now: systemClock.now,
    sleep: (durationMs, signal) =>
      new Promise((wake, reject) => {
        sleeps.push({ durationMs, wake });
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
    end: (maxMs) => {
      for (const { durationMs, wake } of sleeps) if (durationMs <= maxMs) wake();
    },
  };
}

const pauseMs = 5000;

async function draining(
  work: (stage: Stage, path: string, clock: ReturnType<typeof manualClock>) => Promise<void>,
  options: Partial<RouterOptions> = {},
) {
  const clock = manualClock();
  const stage = await createStage({ clock, pauseMs, ...options });
  try {
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    const link = await stage.dial('S00000001', {
      handlers: { request: (request, response) => void request.resume().on('end', () => response.end('done')) },
    });
    await nextUp(link);
    await work(stage, `/mdm/${token}/connect`, clock);
  } finally {
    clock.end(graceMs);
    await stage.close();
  }
}

/** What comes on the connection, and whether the router has ended it. */
function hear(socket: TLSSocket) {
  const heard = { text: '', ended: false };
  socket.on('data', (chunk: Buffer) => {
    heard.text += chunk.toString('latin1');
  });
  socket.once('end', () => {
    heard.ended = true;
  });
  return heard;
}

const put = (path: string) => `PUT ${path} HTTP/1.1\r\nHost: router.test\r\nContent-Length: 1\r\n\r\nx`;
const answers = (text: string) => text.split('HTTP/1.1 200 OK').length - 1;

test('a draining router answers the next request on each connection, and closes it with that answer', aMinute, () =>
  draining(async (stage, path) => {
    const socket = await connectRaw(stage);
    const heard = hear(socket);
    socket.write(put(path));
    await until('the first answer came', 30_000, () => answers(heard.text) === 1);
    assert.doesNotMatch(heard.text, /connection: close/i);
    const drained = stage.router.drain(graceMs);
    await until('the router no longer accepts', 30_000, () => !stage.router.publicServer.listening);
    socket.write(put(path));
    await until('the second answer came, and the end', 30_000, () => answers(heard.text) === 2 && heard.ended);
    assert.match(heard.text, /connection: close/i);
    // No clock was moved: an answered connection holds the drain up no longer.
    await drained;
  }),
);

/** Resolves when the router has read it: another device, which asked later, has its answer. */
async function arrives(stage: Stage, path: string, socket: TLSSocket, text: string): Promise<void> {
  await new Promise<void>((resolve) => socket.write(text, () => resolve()));
  assert.equal((await askRaw(stage, put(path))).status, 200);
}

for (const which of ['first', 'second']) {
  test(`a ${which} request that has begun to come in as its router lets idle devices go is answered`, aMinute, () =>
    draining(async (stage, path, clock) => {
      const [idle, slow] = [await connectRaw(stage), await connectRaw(stage)];
      const [heardIdle, heardSlow] = [hear(idle), hear(slow)];
      for (const socket of which === 'first' ? [idle] : [idle, slow]) socket.write(put(path));
      const before = which === 'first' ? 0 : 1;
      await until(
        'all are answered',
        30_000,
        () => answers(heardIdle.text) === 1 && answers(heardSlow.text) === before,
      );
      await arrives(stage, path, slow, put(path).slice(0, 20));
      const drained = stage.router.drain(graceMs);
      await until('the router no longer accepts', 30_000, () => !stage.router.publicServer.listening);
      assert.equal(heardIdle.ended, false);
      await until('the idle one is let go', 30_000, () => {
        clock.end(pauseMs);
        return heardIdle.ended;
      });
      slow.write(put(path).slice(20));
      await until('the late one ends', 30_000, () => heardSlow.ended);
      assert.equal(answers(heardSlow.text), before + 1);
      await drained;
    }),
  );
}

test(
  'a device that waits for its turn for TLS as its router lets idle ones go has its turn and its answer',
  aMinute,
  () =>
    draining(
      async (stage, path, clock) => {
        const idle = await connectRaw(stage);
        const heardIdle = hear(idle);
        idle.write(put(path));
        await until('the first device is answered', 30_000, () => answers(heardIdle.text) === 1);
        // One turn a second: the last of them has to wait for some.
        const waiting = Array.from({ length: 4 }, () => askRaw(stage, put(path)));
        const connections = () =>
          new Promise<number>((resolve) => stage.router.publicServer.getConnections((_, count) => resolve(count)));
        await until('all have come', 30_000, async () => (await connections()) === 5);
        const drained = stage.router.drain(graceMs);
        await until('the idle one is let go', 30_000, () => {
          clock.end(pauseMs);
          return heardIdle.ended;
        });
        const answered = (await Promise.allSettled(waiting)).filter(({ status }) => status === 'fulfilled');
        // One may be in the middle of its handshake, which began before the drain: here no time passes between the two.
        assert.ok(answered.length >= 3, `${answered.length} were answered`);
        await drained;
      },
      { limits: { handshakesPerSecond: 1 } },
    ),
);

test('a draining router serves the next HTTP/2 stream of each connection, and names it as the last', aMinute, () =>
  draining(async (stage, path) => {
    const socket = await connectRaw(stage, { ALPNProtocols: ['h2'] });
    const heard = hear(socket);
    const frames = hearFrames(socket);
    socket.write(Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(0)), get(path, 1)]));
    await until('the first stream is answered', 30_000, () => frames.some(({ stream, ends }) => stream === 1 && ends));
    const drained = stage.router.drain(graceMs);
    await until('the router no longer accepts', 30_000, () => !stage.router.publicServer.listening);
    socket.write(get(path, 3));
    await until('the second stream is answered', 30_000, () => frames.some(({ stream, ends }) => stream === 3 && ends));
    await until('the connection ends', 30_000, () => heard.ended);
    const goaways = frames.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(0));
    assert.deepEqual([...new Set(goaways)], [3]);
    await drained;
  }),
);

/** A device whose tunnels lead to a connection service that echoes. */
async function deviceWithTunnel(stage: Stage) {
  const device = await stage.devices.issue('device');
  const fingerprint = createHash('sha256').update(new X509Certificate(device.certificatePem).raw).digest('hex');
  stage.routes.set(fingerprint, { identifier: 'S00000001', connectionServices: ['C00000001'] });
  const echo = (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    stream.on('error', () => undefined);
    stream.pipe(stream);
  };
  await nextUp(await stage.dial('C00000001', { handlers: { tunnel: echo } }));
  return device;
}

/** What a router writes, line by line. */
function openLog() {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const identity = { kind: 'router', name: 'router-1', release: '1.0.0', level: 'warn' } as const;
  return { lines, log: createLogger(identity, destination) };
}

test('a tunnel over HTTP/1.1 outlasts the pause, until the limit, and is counted in the log', aMinute, () => {
  const { lines, log } = openLog();
  const work: Parameters<typeof draining>[0] = async (stage, path, clock) => {
    const device = await deviceWithTunnel(stage);
    const [idle, tunnel] = [await connectRaw(stage), await connectRaw(stage, { device })];
    const [heardIdle, heardTunnel] = [hear(idle), hear(tunnel)];
    idle.write(put(path));
    tunnel.write('CONNECT intranet.test:443 HTTP/1.1\r\nHost: intranet.test:443\r\n\r\n');
    await until('the tunnel stands', 30_000, () => heardTunnel.text.includes(' 200 '));
    await until('the other is answered', 30_000, () => answers(heardIdle.text) === 1);
    const drained = stage.router.drain(graceMs);
    await until('the idle one is let go', 30_000, () => {
      clock.end(pauseMs);
      return heardIdle.ended;
    });
    tunnel.write('still here');
    await until('the tunnel carries it', 30_000, () => heardTunnel.text.endsWith('still here'));
    assert.equal(heardTunnel.ended, false);
    await until('the limit ends it', 30_000, () => {
      clock.end(graceMs);
      return tunnel.closed;
    });
    await drained;
    const said = lines.filter(({ msg }) => /^tunnels were still open at the limit/.test(String(msg)));
    assert.deepEqual(
      said.map(({ tunnels, afterMs }) => [tunnels, afterMs]),
      [[1, graceMs]],
    );
  };
  return draining(work, { log });
});

test('a tunnel over HTTP/2 outlasts the pause', aMinute, () =>
  draining(async (stage, path, clock) => {
    const device = await deviceWithTunnel(stage);
    const idle = await connectRaw(stage);
    const heardIdle = hear(idle);
    idle.write(put(path));
    await until('the other is answered', 30_000, () => answers(heardIdle.text) === 1);
    const socket = await connectRaw(stage, { device, ALPNProtocols: ['h2'] });
    const session = connectHttp2('https://router.test', { createConnection: () => socket });
    session.on('error', () => undefined);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'intranet.test:443' });
    let text = '';
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(stream, 'response');
    const drained = stage.router.drain(graceMs);
    await until('the idle one is let go', 30_000, () => {
      clock.end(pauseMs);
      return heardIdle.ended;
    });
    stream.write('still here');
    await until('the tunnel carries it', 30_000, () => text === 'still here');
    assert.equal(stream.closed, false);
    stream.end();
    stream.close();
    await drained;
  }),
);

test('a client of HTTP/2 that only waits is let go after the pause', aMinute, () =>
  draining(async (stage, path, clock) => {
    const session = connectHttp2('https://router.test', {
      createConnection: () =>
        connectTls({
          host: '127.0.0.1',
          port: stage.publicPort,
          servername: 'router.test',
          ca: stage.domain.certificatePem,
          ALPNProtocols: ['h2'],
        }),
    });
    const stream = session.request({ ':method': 'PUT', ':path': path });
    stream.resume().end('x');
    const [headers] = await once(stream, 'response');
    assert.equal((headers as Record<string, unknown>)[':status'], 200);
    const drained = stage.router.drain(graceMs);
    await until('the session is let go', 30_000, () => {
      clock.end(pauseMs);
      return session.closed;
    });
    await drained;
  }),
);

interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
  /** END_STREAM of an answer. */
  ends: boolean;
}

function hearFrames(socket: TLSSocket): Frame[] {
  const frames: Frame[] = [];
  let left = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    left = Buffer.concat([left, chunk]);
    for (;;) {
      const size = left.length < 9 ? Number.POSITIVE_INFINITY : left.readUIntBE(0, 3);
      if (left.length < 9 + size) return;
      const [type, flags] = [left.readUInt8(3), left.readUInt8(4)];
      const ends = (type === 0 || type === 1) && (flags & 1) === 1;
      frames.push({ type, flags, stream: left.readUInt32BE(5), payload: left.subarray(9, 9 + size), ends });
      left = left.subarray(9 + size);
    }
  });
  return frames;
}

/** Literal header fields without indexing (RFC 7541 §6.2.2), with END_STREAM and END_HEADERS. */
function get(path: string, stream: number): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const field = (name: string, value: string) => Buffer.concat([Buffer.from([0]), text(name), text(value)]);
  const fields = [
    field(':method', 'PUT'),
    field(':scheme', 'https'),
    field(':authority', 'router.test'),
    field(':path', path),
  ];
  return frame(1, 0x5, stream, Buffer.concat(fields));
}
