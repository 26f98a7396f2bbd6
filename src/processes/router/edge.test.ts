import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Http2ServerRequest } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { until } from '../../testing/condition.ts';
import type { RouterLink } from './link-registry.ts';
import { ask, askRaw, connectRaw, createStage, newToken, nextUp, type Stage } from './router-fixture.ts';

describe('at the edge, a request', () => {
  let stage: Stage;
  let path: string;
  let scep: string;
  let link: RouterLink | undefined;
  let seen: Http2ServerRequest['headers'][] = [];
  let served = 0;

  before(async () => {
    stage = await createStage();
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    path = `/mdm/${token}/connect`;
    scep = `/scep/${token}`;
    await nextUp(
      await stage.dial('S00000001', {
        handlers: {
          request: (request, response) => {
            served += 1;
            seen.push(request.headers);
            let sizeBytes = 0;
            request.on('data', (chunk: Buffer) => {
              sizeBytes += chunk.length;
            });
            request.on('end', () => response.writeHead(200, { 'x-odd': 'caf\xe9' }).end(String(sizeBytes)));
          },
        },
      }),
    );
    link = stage.router.links.get('S00000001');
  });
  after(() => stage.close());

  const get = (target: string, lines: string[], version = '1.1') =>
    askRaw(stage, `GET ${target} HTTP/${version}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);

  async function unharmed(): Promise<void> {
    assert.ok(link);
    assert.equal(stage.router.links.get('S00000001'), link);
    assert.equal((await ask(stage, path)).status, 200);
  }

  test('is taken over TLS 1.2 and later only', async () => {
    const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
      await assert.rejects(connectRaw(stage, { ...old, maxVersion }), /protocol version/i, maxVersion);
    }
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      (await connectRaw(stage, { ...old, maxVersion })).destroy();
    }
    await unharmed();
  });

  test('without one clear Host is refused by the router, with body and code, and reaches no instance', async () => {
    const before = served;
    const hosts = ['', ' ', 'a b', 'a/b', 'a,b', 'a@b', '[::1', 'a:b', 'a:123456', 'm\xfcller.example', '%zz', 'a?b'];
    for (const host of hosts) {
      const answer = await get(path, [`Host: ${host}`]);
      assert.deepEqual([host, answer.status, answer.code], [host, 400, 'ERR_HOST']);
      assert.equal(JSON.parse(answer.body).code, 'ERR_HOST');
    }
    for (const lines of [[], ['Host: a', 'Host: a'], ['Host: a', 'hOst: b']]) {
      const answer = await get(path, lines);
      assert.deepEqual([answer.status, answer.code], [400, 'ERR_HOST'], String(lines));
    }
    assert.equal(served, before);
    await unharmed();
  });

  test('says nothing of its host to an instance, which hears one name of the router for all', async () => {
    seen = [];
    for (const host of ['router.test', 'other.example:8443', '[::1]:8443', '10.0.0.1']) {
      assert.equal((await get(path, [`Host: ${host}`])).status, 200);
    }
    assert.equal((await get(path, [], '1.0')).status, 200, 'HTTP/1.0 needs no Host');
    assert.equal((await get(`https://router.test:8443${path}`, ['Host: elsewhere'])).status, 200, 'absolute form');
    assert.equal((await get(`HTTP://router.test${path}`, ['Host: elsewhere'])).status, 200, 'of any scheme');
    assert.deepEqual([...new Set(seen.map((headers) => headers[':authority']))], ['bramble-link']);
    assert.ok(seen.every((headers) => headers['host'] === undefined));
    assert.equal((await get(`https://user@router.test${path}`, ['Host: router.test'])).code, 'ERR_HOST');
    assert.equal((await get('https://router.test', ['Host: router.test'])).code, 'ERR_NOT_FOUND');
  });

  test('over HTTP/2 that names two hosts is refused', async () => {
    const session = connect(`https://router.test:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername: 'router.test',
      ca: stage.domain.certificatePem,
    });
    for (const [authority, host, expected] of [
      ['router.test', undefined, 200],
      ['Router.test:8443', 'router.test:8443', 200],
      ['router.test', 'other.test', 400],
      ['a,b', undefined, 400],
    ] as const) {
      const stream = session.request({ ':path': path, ':authority': authority, ...(host ? { host } : {}) });
      const [headers] = await once(stream, 'response');
      assert.deepEqual([authority, headers[':status']], [authority, expected]);
      stream.close();
    }
    session.destroy();
  });

  test('has only such headers passed on as HTTP/2 takes, and the rest of it is served', async () => {
    const cookies = Array.from({ length: 90 }, (_, index) => `Set-Cookie: ${index}`);
    for (const lines of [
      ['Accept: x', 'Accept:'],
      ['Te: gzip', 'Connection: te, x-a', 'Upgrade: websocket', 'Keep-Alive: 3', 'Proxy-Connection: x', 'X-A: 1'],
      ['X-Odd: caf\xe9', 'X-Empty:', 'X-Tab: a\tb', '__proto__: x', 'Content-Length: 0'],
      ['Priority: \x80\x80', 'Trailer: a', 'Transfer-Encoding: chunked', 'Expect: 100-continue'],
      cookies,
    ]) {
      seen = [];
      const chunked = lines.some((line) => line.startsWith('Transfer'));
      const head = `PUT ${path} HTTP/1.1\r\nHost: router.test\r\n${lines.join('\r\n')}\r\n\r\n`;
      const answer = await askRaw(stage, chunked ? `${head}0\r\nTe: x\r\nHost: a b\r\n\r\n` : head);
      // Whoever asks whether to go on is told so first.
      assert.ok([100, 200].includes(answer.status), `${lines}: ${answer.status}`);
      await until('the instance has seen it', 60_000, () => seen.length > 0);
      for (const name of ['te', 'upgrade', 'x-a', 'trailer', 'expect']) assert.equal(seen[0]?.[name], undefined);
    }
    const many = Array.from({ length: 300 }, (_, index) => `Set-Cookie: ${index}`);
    const refused = await get(path, ['Host: a', ...many]);
    assert.deepEqual([refused.status, refused.code], [400, 'ERR_HEADERS_TOO_LARGE']);
    await unharmed();
  });

  test('that is none, or no one that is served, is refused with a body and a code', async () => {
    const before = served;
    for (const [text, status, code] of [
      ['nonsense\r\n\r\n', 400, 'ERR_BAD_REQUEST'],
      [`GET ${path} HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n`, 400, 'ERR_BAD_REQUEST'],
      [`GET ${path} HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n`, 400, 'ERR_BAD_REQUEST'],
      [
        `PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
        400,
        'ERR_BAD_REQUEST',
      ],
      [`GET ${path}?a#b HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'ERR_HEADERS_TOO_LARGE'],
      [`PUT ${path} HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n`, 417, 'ERR_BAD_REQUEST'],
      [`DELETE ${path} HTTP/1.1\r\nHost: a\r\n\r\n`, 405, 'ERR_METHOD'],
      ['OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 404, 'ERR_NOT_FOUND'],
      [`PUT ${path}/../x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n`, 404, 'ERR_NOT_FOUND'],
    ] as const) {
      const answer = await askRaw(stage, text);
      assert.deepEqual([text.slice(0, 99), answer.status, answer.code], [text.slice(0, 99), status, code]);
      assert.equal(JSON.parse(answer.body).code, code);
    }
    assert.equal(served, before);
    await unharmed();
  });

  test('brings no more of a body than its address takes, declared or not, and is refused before it is read', async () => {
    for (const [target, maxBytes] of [
      ['/activate', 4096],
      [`${scep}?operation=PKIOperation`, 65_536],
      [path, 1_048_576],
      [path.replace('connect', 'checkin'), 1_048_576],
    ] as const) {
      const before = served;
      const whole = await ask(stage, target, { method: 'POST', body: 'x'.repeat(maxBytes) });
      assert.deepEqual([target, whole.status, whole.body], [target, 200, String(maxBytes)]);
      const head = `POST ${target} HTTP/1.1\r\nHost: a\r\n`;
      const declared = await askRaw(stage, `${head}Content-Length: ${maxBytes + 1}\r\n\r\n`);
      const waiting = await askRaw(stage, `${head}Content-Length: ${maxBytes + 1}\r\nExpect: 100-continue\r\n\r\n`);
      const chunk = `${(maxBytes + 1).toString(16)}\r\n${'x'.repeat(maxBytes + 1)}\r\n`;
      const chunked = await askRaw(stage, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`);
      for (const answer of [declared, waiting, chunked]) {
        assert.deepEqual([target, answer.status, answer.code], [target, 413, 'ERR_BODY_TOO_LARGE']);
      }
      assert.equal(served, before + 1);
    }
    const none = await askRaw(stage, 'POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n');
    assert.deepEqual([none.status, none.code], [404, 'ERR_NOT_FOUND'], 'nothing is read where nothing is served');
  });

  test('by GET has a message of at most 16 KiB', async () => {
    const session = connect(`https://router.test:${stage.publicPort}`, {
      host: '127.0.0.1',
      servername: 'router.test',
      ca: stage.domain.certificatePem,
    });
    const stream = session.request({ ':path': `${scep}?operation=PKIOperation&message=${'A'.repeat(17_000)}` });
    const [headers] = await once(stream, 'response');
    assert.deepEqual([headers[':status'], headers['bramble-code']], [413, 'ERR_BODY_TOO_LARGE']);
    session.destroy();
    await unharmed();
  });
});
