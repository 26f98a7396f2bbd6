import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent } from 'node:https';
import { connect as connectSocket } from 'node:net';
import { Duplex, Writable } from 'node:stream';
import { afterEach, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createLogger } from '../../process/log/logger.ts';
import { until } from '../../testing/condition.ts';
import type { GivenLimits } from './public-limits.ts';
import type { RouterOptions } from './router.ts';
import { ask, connectRaw, createStage, frame, newToken, nextUp, preface, type Stage } from './router-fixture.ts';

const wait = { timeout: 120_000 };

describe('strangers at the public port', () => {
  let stage: Stage;
  let path: string;
  let served = 0;
  let hold: (() => void)[] | null = null;
  const reasons: Record<string, number> = {};
  const sessions: ClientHttp2Session[] = [];
  const agents: Agent[] = [];

  async function open(limits: GivenLimits, options: Partial<RouterOptions> = {}): Promise<void> {
    for (const reason of Object.keys(reasons)) delete reasons[reason];
    served = 0;
    hold = null;
    stage = await createStage({
      limits,
      onLimit: (reason) => {
        reasons[reason] = (reasons[reason] ?? 0) + 1;
      },
      ...options,
    });
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    path = `/mdm/${token}/connect`;
    const link = await stage.dial('S00000001', {
      handlers: {
        request: (request, response) => {
          served += 1;
          const answer = () => {
            // As an instance answers: who is proven 200, and at SCEP anybody.
            const proven = request.headers['x-identity'] === 'proven' || request.url.startsWith('/scep/');
            if (!response.stream.destroyed) response.writeHead(proven ? 200 : 400).end('done');
          };
          if (hold && request.headers['x-hold'] !== undefined) hold.push(answer);
          else answer();
        },
      },
    });
    await nextUp(link);
  }

  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.destroy();
    for (const session of sessions.splice(0)) session.destroy();
    await stage.close();
  });

  const identity = { 'x-identity': 'proven' };
  const newAgent = () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    return agent;
  };

  function openSession(): ClientHttp2Session {
    const session = connect(`https://router.test:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername: 'router.test',
      ca: stage.domain.certificatePem,
    });
    session.on('error', () => undefined);
    sessions.push(session);
    return session;
  }

  /** What a client of TLS says first. */
  async function clientHello(): Promise<Buffer> {
    return await new Promise((resolve) => {
      const line = new Duplex({ read: () => undefined, write: (chunk: Buffer) => resolve(chunk) });
      connectTls({ socket: line, servername: 'router.test' }).on('error', () => undefined);
    });
  }

  test('with 360 silent connections keep no honest device out, and none that proved itself before', wait, async () => {
    await open({ connections: 60 });
    const known = newAgent();
    const stay = () => ask(stage, path, { headers: identity, agent: known });
    assert.equal((await stay()).status, 200);
    const [socket] = Object.values(known.freeSockets).flat();
    assert.equal(stage.router.connections.proven, 1);
    for (let index = 0; index < 360; index += 1) {
      const session = openSession();
      if (index % 2 === 1) session.once('connect', () => session.ping(() => undefined));
      // Some at a time, so that all of them come in.
      if (index % 20 === 19) await new Promise((resolve) => session.once('connect', resolve).once('close', resolve));
      if (index % 90 === 89) assert.equal((await ask(stage, path, { headers: identity })).status, 200);
    }
    assert.ok(stage.router.connections.size <= 60);
    assert.ok((reasons['connections-of-address'] ?? 0) > 100, JSON.stringify(reasons));
    assert.equal((await stay()).status, 200);
    assert.equal(Object.values(known.freeSockets).flat()[0], socket, 'on the connection that it had');
  });

  test(
    'say a request within the time or are cut: silent, pinging, in the middle of TLS, of a head or of a body',
    wait,
    async () => {
      await open({ firstRequestMs: 3000 });
      const pinging = openSession();
      pinging.once('connect', () => {
        const pings = setInterval(() => !pinging.destroyed && pinging.ping(() => undefined), 50);
        pinging.once('close', () => clearInterval(pings));
      });
      const unfinished = openSession();
      unfinished.request({ ':method': 'PUT', ':path': path }, { endStream: false }).on('error', () => undefined);
      const noTls = connectSocket(stage.publicPort, '127.0.0.1');
      const hello = await clientHello();
      const [afterHello, trickling] = [noTls, noTls].map(() => connectSocket(stage.publicPort, '127.0.0.1'));
      assert.ok(afterHello && trickling);
      afterHello.write(hello);
      let sent = 0;
      const trickle = setInterval(() => trickling.write(hello.subarray(sent, ++sent)), 20);
      trickling.once('close', () => clearInterval(trickle));
      const head = await connectRaw(stage);
      head.write(`PUT ${path} HTTP/1.1\r\nHost: a\r\n`);
      const body = await connectRaw(stage);
      body.write(`PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx`);
      for (const socket of [noTls, afterHello, trickling, head, body]) socket.on('error', () => undefined).resume();
      const all = [openSession(), pinging, unfinished, noTls, afterHello, trickling, head, body];
      await Promise.all(all.map((each) => new Promise((resolve) => each.once('close', resolve))));
      assert.equal(reasons['no-request-in-time'], all.length);
      assert.equal(served, 0);
      const agent = newAgent();
      for (let turn = 0; turn < 2; turn += 1) {
        assert.equal((await ask(stage, path, { headers: identity, agent })).status, 200);
      }
    },
  );

  test(
    'that open connections without end have their handshakes in turn, and keep no other address waiting',
    wait,
    async () => {
      // Of 300 handshakes it would be the turn of the last in five minutes.
      await open({ handshakesPerSecond: 1 });
      const flood = Array.from({ length: 300 }, () => connectSocket(stage.publicPort, '127.0.0.1'));
      for (const socket of flood) socket.on('error', () => undefined).resume();
      await until('the whole flood is in', 60_000, () => stage.router.connections.size === flood.length);
      const answer = await ask(stage, path, { headers: identity, localAddress: '127.0.0.2' });
      assert.equal(answer.status, 200);
      assert.ok((reasons['handshakes'] ?? 0) > 250, JSON.stringify(reasons));
      for (const socket of flood) socket.destroy();
      await until('the flood is out', 60_000, () => stage.router.connections.size <= 1);
    },
  );

  test('prove nothing by a certificate in TLS, by SCEP or by a refused identity', wait, async () => {
    await open({});
    const device = await stage.devices.issue('device');
    const agent = newAgent();
    assert.equal((await ask(stage, path, { device, agent })).status, 400);
    assert.equal(
      (await ask(stage, path.replace('mdm', 'scep').replace('/connect', ''), { device, agent })).status,
      200,
    );
    assert.deepEqual([stage.router.connections.size, stage.router.connections.proven], [1, 0]);
    assert.equal((await ask(stage, path, { device, agent, headers: identity })).status, 200);
    assert.equal(stage.router.connections.proven, 1);
  });

  test('get no more work done by resetting their requests: rapid resets end the connection', wait, async () => {
    await open({ controlFrames: 50, controlFramesPerSecond: 1 });
    const socket = await connectRaw(stage, { ALPNProtocols: ['h2'] });
    socket.resume();
    const frames = [preface, frame(4, 0, 0, Buffer.alloc(0))];
    const block = Buffer.concat([
      // Indexed: GET, https; literal: :path and :authority (RFC 7541 §6).
      Buffer.of(0x82, 0x87, 0x04, path.length),
      Buffer.from(path),
      Buffer.of(0x01, 1),
      Buffer.from('a'),
    ]);
    for (let stream = 1; stream < 6000; stream += 2) {
      frames.push(frame(1, 5, stream, block), frame(3, 0, stream, Buffer.of(0, 0, 0, 8)));
    }
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(Buffer.concat(frames));
    await closed;
    await until('no request is under way', 60_000, () => stage.router.requestsUnderWay === 0);
    assert.ok(served <= 60, `${served} of 3000 requests were served`);
    assert.ok((reasons['refused-frames'] ?? 0) + (reasons['control-frames'] ?? 0) >= 1, JSON.stringify(reasons));
    assert.equal((await ask(stage, path, { headers: identity })).status, 200);
  });

  test('that send pings or settings without end are cut', wait, async () => {
    await open({ controlFrames: 50, controlFramesPerSecond: 1 });
    for (const noise of [frame(6, 0, 0, Buffer.alloc(8)), frame(4, 0, 0, Buffer.alloc(0))]) {
      const socket = await connectRaw(stage, { ALPNProtocols: ['h2'] });
      socket.resume();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const start = [preface, frame(4, 0, 0, Buffer.alloc(0))];
      socket.write(Buffer.concat([...start, ...Array.from({ length: 500 }, () => noise)]));
      await closed;
    }
    assert.ok((reasons['refused-frames'] ?? 0) + (reasons['control-frames'] ?? 0) >= 2, JSON.stringify(reasons));
  });

  test('that fill the requests under way get 503, and devices that proved themselves are served', wait, async () => {
    await open({ requests: 10 });
    const known = newAgent();
    assert.equal((await ask(stage, path, { headers: identity, agent: known })).status, 200);
    const held: (() => void)[] = [];
    hold = held;
    const holding = Array.from({ length: 9 }, () => ask(stage, path, { headers: { 'x-hold': '1' } }));
    // The address has few of them from eight on, and of ten the last is kept.
    await until('eight requests are held', 60_000, () => held.length >= 8);
    const refused = await Promise.race([ask(stage, path), ...holding]);
    assert.deepEqual([refused.status, refused.code, refused.headers['retry-after']], [503, 'ERR_OVERLOADED', '5']);
    assert.equal((await ask(stage, path, { headers: identity, agent: known })).status, 200);
    for (const release of held) release();
    hold = null;
    await Promise.all(holding);
    assert.equal((await ask(stage, path, { headers: identity })).status, 200);
    assert.ok((reasons['requests-of-address'] ?? 0) >= 1, JSON.stringify(reasons));
  });

  test('with requests whose bodies never come keep out no device, not even on its first connection', wait, async () => {
    await open({ requests: 20 });
    const heads = Array.from({ length: 30 }, () => openSession());
    let refused = 0;
    const sent = heads.flatMap((session) =>
      Array.from({ length: 5 }, () => {
        const stream = session.request({ ':method': 'POST', ':path': '/activate' }, { endStream: false });
        stream.on('error', () => undefined);
        stream.on('response', ({ ':status': status }) => {
          if (status === 503) refused += 1;
        });
        stream.resume();
        return stream;
      }),
    );
    await until('a hundred are refused', 60_000, () => refused >= 100);
    for (let turn = 0; turn < 5; turn += 1) {
      assert.equal((await ask(stage, path, { headers: identity, agent: newAgent() })).status, 200);
    }
    assert.ok(stage.router.requestsUnderWay <= 20);
    assert.equal(served, 5, 'and nothing of it reached an instance');
    for (const stream of sent) stream.close();
  });

  test(
    'that proved themselves hold a few connections and requests, and none that are kept for others',
    wait,
    async () => {
      await open({ connectionsOfIdentity: 3, requestsOfIdentity: 4, requests: 100 });
      const other = newAgent();
      assert.equal((await ask(stage, path, { headers: identity, agent: other })).status, 200);
      const token = newToken();
      stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
      const own = `/mdm/${token}/connect`;
      for (let index = 0; index < 8; index += 1) {
        assert.equal((await ask(stage, own, { headers: identity, agent: newAgent() })).status, 200);
      }
      assert.equal(reasons['connections-of-identity'], 5);
      const session = openSession();
      const status = (headers: object, endStream: boolean) =>
        new Promise<number>((resolve) => {
          const stream = session.request({ ':method': 'PUT', ':path': own, ...identity, ...headers }, { endStream });
          stream.on('error', () => undefined).resume();
          stream.on('response', (answer) => resolve(Number(answer[':status'])));
        });
      assert.equal(await status({}, true), 200);
      for (let index = 0; index < 4; index += 1) void status({}, false);
      assert.equal(await status({}, true), 503);
      assert.ok((reasons['requests-of-identity'] ?? 0) >= 1, JSON.stringify(reasons));
      assert.equal((await ask(stage, path, { headers: identity, agent: other })).status, 200);
    },
  );

  test('that pipeline more requests than a connection may have under way are refused the rest', wait, async () => {
    await open({ requestsOfConnection: 5 });
    hold = [];
    const socket = await connectRaw(stage);
    const closed = once(socket, 'close');
    socket.resume();
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nX-Hold: 1\r\n\r\n`.repeat(50));
    await until('a request of the connection is refused', 60_000, () => (reasons['requests-of-connection'] ?? 0) >= 1);
    assert.ok(stage.router.requestsUnderWay <= 5);
    await until('five are served', 60_000, () => served === 5);
    socket.destroy();
    await closed;
    // Who gives up frees nothing: the work goes on.
    assert.equal(stage.router.requestsUnderWay, 5);
    for (const release of hold) release();
    await until('no request is under way', 60_000, () => stage.router.requestsUnderWay === 0);
  });

  test('cost one line of the log for all of them, which names reason and count', wait, async () => {
    const lines: string[] = [];
    const destination = new Writable({
      write: (chunk, _encoding, done) => {
        lines.push(String(chunk));
        done();
      },
    });
    const log = createLogger({ kind: 'router', name: 'router-1', release: '1.2.0', level: 'warn' }, destination);
    // The line is due after the test, and so written when the router ends.
    await open({ connections: 5, connectionsOfAddress: 1 }, { log, reportEveryMs: 600_000 });
    for (let index = 0; index < 20; index += 1) {
      const session = openSession();
      await new Promise((resolve) => session.once('connect', resolve).once('close', resolve));
    }
    await stage.router.drain(100);
    const counts = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg.includes('limits'));
    assert.equal(counts.length, 1);
    assert.equal(counts[0].limits['connections-of-address'].count, reasons['connections-of-address']);
    assert.equal(counts[0].limits['connections-of-address'].lastAddress, '127.0.0.1');
  });
});
