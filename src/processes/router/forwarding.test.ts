import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { Agent } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import type { SrpLink } from '../../link/dialler.ts';
import { ask, createStage, newToken, nextUp, type Stage } from './router-fixture.ts';

describe('a device request through the router', () => {
  let stage: Stage;
  const links: Record<string, SrpLink> = {};
  const counts: Record<string, number> = {};
  let skewMs = 0;
  let behave: (identifier: string, request: Http2ServerRequest, response: Http2ServerResponse) => void;

  const echo = async (identifier: string, request: Http2ServerRequest, response: Http2ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    response.writeHead(200, { 'content-type': 'application/json', 'bramble-inner': 'secret' });
    response.end(
      JSON.stringify({ identifier, url: request.url, method: request.method, headers: request.headers, body }),
    );
  };

  before(async () => {
    const clock = { ...systemClock, now: () => Date.now() + skewMs };
    stage = await createStage({ clock, deadlineMs: 20_000, maxLargeBodies: 2 * 1024 * 1024 });
    behave = echo;
    for (const identifier of ['S00000001', 'S00000002']) {
      const link = await stage.dial(identifier, {
        handlers: {
          request: (request, response) => {
            counts[identifier] = (counts[identifier] ?? 0) + 1;
            behave(identifier, request, response);
          },
        },
      });
      links[identifier] = link;
      await nextUp(link);
    }
  });
  after(() => stage.close());

  const device = (identifier: string | null): string => {
    const token = newToken();
    stage.routes.set(token, { identifier, connectionServices: [] });
    return token;
  };

  test('reaches the instance that owns the path token, with method, path, query and body', async () => {
    for (const identifier of ['S00000001', 'S00000002']) {
      const path = `/mdm/${device(identifier)}/connect?x=1`;
      const answer = await ask(stage, path, { body: 'hello' });
      const seen = JSON.parse(answer.body);
      assert.equal(answer.status, 200);
      assert.deepEqual([seen.identifier, seen.method, seen.url, seen.body], [identifier, 'PUT', path, 'hello']);
      assert.equal(seen.headers['bramble-remote-address'], '127.0.0.1');
      assert.equal(answer.headers['bramble-inner'], undefined);
    }
  });

  test('passes the certificate of TLS on, also in a resumed session, and strips every forged header', async () => {
    const path = `/mdm/${device('S00000001')}/connect`;
    const forged = {
      'client-cert': ':Zm9yZ2Vk:',
      'client-cert-chain': ':Zm9yZ2Vk:',
      'bramble-remote-address': '6.6.6.6',
      'x-forwarded-for': '6.6.6.6',
      connection: 'close, x-drop',
      'x-drop': '1',
      'x-keep': '1',
    };
    const bare = JSON.parse((await ask(stage, path, { headers: forged })).body).headers;
    for (const name of ['client-cert', 'client-cert-chain', 'x-forwarded-for', 'x-drop', 'connection']) {
      assert.equal(bare[name], undefined, name);
    }
    assert.equal(bare['bramble-remote-address'], '127.0.0.1');
    assert.equal(bare['x-keep'], '1');
    const identity = await stage.devices.issue('device-1');
    const expected = `:${new X509Certificate(identity.certificatePem).raw.toString('base64')}:`;
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 10 });
    for (let turn = 0; turn < 3; turn += 1) {
      const answer = await ask(stage, path, { headers: forged, device: identity, agent });
      assert.equal(JSON.parse(answer.body).headers['client-cert'], expected);
      assert.equal(answer.resumed, turn > 0);
    }
    agent.destroy();
  });

  test('is asked for at most once while the owner is remembered, and questions at once share a batch', async () => {
    const tokens = Array.from({ length: 40 }, () => device('S00000002'));
    const before = stage.router.routes.batches;
    await Promise.all(tokens.map((token) => stage.router.routes.find('token', token)));
    assert.ok(stage.router.routes.batches - before <= 2);
    const asked = stage.router.routes.batches;
    assert.equal((await ask(stage, `/mdm/${tokens[0]}/connect`)).status, 200);
    assert.equal(stage.router.routes.batches, asked);
  });

  test('follows one 421 to the owner that it names, with the whole body', async () => {
    const token = device('S00000001');
    behave = (identifier, request, response) => {
      if (identifier === 'S00000002') return void echo(identifier, request, response);
      response.writeHead(421, { 'bramble-owner': 'S00000002' }).end();
    };
    const body = 'x'.repeat(300_000);
    const first = await ask(stage, `/mdm/${token}/connect`, { body });
    assert.equal(JSON.parse(first.body).identifier, 'S00000002');
    assert.equal(JSON.parse(first.body).body, body);
    const before = counts['S00000001'];
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
    assert.equal(counts['S00000001'], before, 'the named owner is remembered');
    behave = echo;
  });

  test('gets 503 after two 421s', async () => {
    behave = (identifier, _request, response) => {
      response.writeHead(421, { 'bramble-owner': identifier === 'S00000001' ? 'S00000002' : 'S00000001' }).end();
    };
    const answer = await ask(stage, `/mdm/${device('S00000001')}/connect`);
    assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [503, 'ERR_ROUTE_UNSETTLED', '5']);
    behave = echo;
  });

  test('leaves an instance that fails for the one that has the account by now, without its word', async () => {
    const token = device('S00000001');
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
    behave = (identifier, request, response) => {
      if (identifier === 'S00000002') return void echo(identifier, request, response);
      response.writeHead(503).end();
    };
    stage.routes.set(token, { identifier: 'S00000002', connectionServices: [] });
    skewMs += 2001;
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 503, 'it may have been processed: not sent again');
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
    behave = echo;
  });

  test('that broke after it was sent is never sent again', async () => {
    const before = (counts['S00000001'] ?? 0) + (counts['S00000002'] ?? 0);
    behave = (_identifier, request) => request.stream.close(2);
    const answer = await ask(stage, `/mdm/${device('S00000001')}/connect`, { body: 'once' });
    assert.deepEqual([answer.status, answer.code], [503, 'ERR_ANSWER_LOST']);
    assert.equal((counts['S00000001'] ?? 0) + (counts['S00000002'] ?? 0), before + 1);
    behave = echo;
  });

  test('that the instance refused unread is routed once more', async () => {
    let refused = 0;
    behave = (identifier, request, response) => {
      refused += 1;
      if (refused === 1) request.stream.close(7);
      else void echo(identifier, request, response);
    };
    assert.equal((await ask(stage, `/mdm/${device('S00000001')}/connect`, { body: 'again' })).status, 200);
    assert.equal(refused, 2);
    behave = echo;
  });

  test('with an unknown token gets 400, elsewhere 404, and never reaches an instance', async () => {
    const before = (counts['S00000001'] ?? 0) + (counts['S00000002'] ?? 0);
    for (const path of [`/mdm/${newToken()}/connect`, '/mdm/short/connect', '/scep/']) {
      const answer = await ask(stage, path);
      assert.deepEqual([path, answer.status, answer.code], [path, 400, 'ERR_UNKNOWN_DEVICE']);
    }
    for (const path of ['/', '/.bramble/hello', '/activate/../.bramble/route', '/activate/%2e%2e/x', '/mdm//x']) {
      assert.deepEqual([path, (await ask(stage, path)).code], [path, 'ERR_NOT_FOUND']);
    }
    assert.equal((counts['S00000001'] ?? 0) + (counts['S00000002'] ?? 0), before);
  });

  test('with a body above 1 MiB gets 413, declared or not, and the connection closes', async () => {
    const before = counts['S00000001'];
    const path = `/mdm/${device('S00000001')}/connect`;
    const body = Buffer.alloc(1024 * 1024 + 1);
    for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await ask(stage, path, { body, headers });
      assert.deepEqual([answer.status, answer.code], [413, 'ERR_BODY_TOO_LARGE']);
      assert.equal(answer.headers['connection'], 'close');
    }
    assert.equal(counts['S00000001'], before);
    assert.equal((await ask(stage, path, { body: body.subarray(1) })).status, 200);
  });

  test('over HTTP/2 is served alike, with and without a body', async () => {
    const session = connect(`https://router.test:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername: 'router.test',
      ca: stage.domain.certificatePem,
    });
    const path = `/mdm/${device('S00000001')}/connect`;
    for (const [method, body] of [
      ['GET', ''],
      ['PUT', 'two'],
      ['PUT', 'x'.repeat(1024 * 1024 + 1)],
    ] as const) {
      const stream = session.request({ ':method': method, ':path': path }, { endStream: body === '' });
      if (body !== '') stream.end(body);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      const [headers] = await once(stream, 'response');
      await new Promise((resolve) => stream.once('end', resolve));
      const answer = JSON.parse(Buffer.concat(chunks).toString());
      stream.close();
      if (body.length > 1000) assert.deepEqual([headers[':status'], answer.code], [413, 'ERR_BODY_TOO_LARGE']);
      else assert.deepEqual([answer.identifier, answer.method, answer.body], ['S00000001', method, body]);
    }
    session.destroy();
  });

  test('with more header bytes, or more headers, than the link carries gets 400, and the link stands', async () => {
    const session = connect(`https://router.test:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername: 'router.test',
      ca: stage.domain.certificatePem,
    });
    const token = device('S00000001');
    const before = stage.router.links.get('S00000001');
    const large = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`x-${index}`, '~'.repeat(3200)]));
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, '1']));
    for (const headers of [large, many]) {
      for (const path of [`/mdm/${token}/connect`, '/activate']) {
        const stream = session.request({ ...headers, ':method': 'GET', ':path': path });
        const [answered] = await once(stream, 'response');
        assert.deepEqual([answered[':status'], answered['bramble-code']], [400, 'ERR_HEADERS_TOO_LARGE']);
        stream.resume();
        stream.close();
      }
    }
    session.destroy();
    assert.ok(before);
    assert.equal(stage.router.links.get('S00000001'), before);
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
  });

  test('with a large body gets 503 while others fill the room, small ones are served, and the room comes back', async () => {
    const path = `/mdm/${device('S00000001')}/connect`;
    const held: (() => void)[] = [];
    let arrived: () => void = () => undefined;
    const both = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    behave = (identifier, request, response) => {
      if (request.headers['x-hold'] === undefined) return void echo(identifier, request, response);
      held.push(() => void echo(identifier, request, response));
      if (held.length === 2) arrived();
    };
    const body = 'x'.repeat(1024 * 1024);
    const holding = [1, 2].map(() => ask(stage, path, { body, headers: { 'x-hold': '1' } }));
    await both;
    const refused = await ask(stage, path, { body });
    assert.deepEqual([refused.status, refused.code], [503, 'ERR_OVERLOADED']);
    assert.equal((await ask(stage, path, { body: 'x'.repeat(60_000) })).status, 200);
    for (const release of held) release();
    assert.deepEqual(
      (await Promise.all(holding)).map(({ status }) => status),
      [200, 200],
    );
    behave = echo;
    assert.equal((await ask(stage, path, { body })).status, 200);
  });

  test('gets a large answer whole', async () => {
    const large = Buffer.alloc(3_000_000, 'l').toString();
    behave = (_identifier, _request, response) => void response.writeHead(200).end(large);
    assert.equal((await ask(stage, `/mdm/${device('S00000001')}/connect`)).body, large);
    behave = echo;
  });

  test('gets 503 at once when its instance is gone, and is found again after it came back elsewhere', async () => {
    const token = device('S00000001');
    assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
    await links['S00000001']?.close(100);
    const gone = await ask(stage, `/mdm/${token}/connect`);
    assert.deepEqual([gone.status, gone.code], [503, 'ERR_NOT_CONNECTED']);
    const moved = device('S00000002');
    assert.equal((await ask(stage, `/mdm/${moved}/connect`)).status, 200);
    await links['S00000002']?.close(100);
    const none = await ask(stage, `/mdm/${newToken()}/connect`);
    assert.deepEqual([none.status, none.code, none.headers['retry-after']], [503, 'ERR_NOT_CONNECTED', '5']);
  });
});
