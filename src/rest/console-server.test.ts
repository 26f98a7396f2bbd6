/** The console's origin, asked over the wire: pages, files, names, headers, and the API beside them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { arrivedAt } from '../base/console-origin.ts';
import { until } from '../testing/condition.ts';
import { createConsoleServer } from './console-server.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-console-'));
after(async () => await rm(folder, { recursive: true, force: true }));
const secret = 'not for browsers';
await writeFile(join(folder, 'secret.txt'), secret);
for (const [release, page] of [
  ['2.0.0', '<style nonce="BRAMBLE_NONCE"></style>own'],
  ['1.0.0', 'former'],
] as const) {
  await mkdir(join(folder, release, 'assets'), { recursive: true });
  await writeFile(join(folder, release, 'index.html'), page);
  await writeFile(join(folder, release, `only-${release}.svg`), '<svg/>');
  await writeFile(join(folder, release, 'assets', `page-${release}.js`), `// ${release}`);
}

const console = createConsoleServer({
  app: {
    routing: (asked, answer) => {
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify(arrivedAt(asked) ?? null));
    },
  },
  folders: async function* () {
    yield join(folder, '2.0.0');
    yield join(folder, '1.0.0');
  },
  names: ['bramble.example.org'],
  servedBy: 'coordinator',
});
await new Promise<void>((resolve) => console.server.listen(0, '127.0.0.1', resolve));
after(async () => await console.close());
const { port } = console.server.address() as AddressInfo;

interface Answer {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** As it is written: nothing in the path is resolved before it is sent. */
async function get(path: string, { host = `localhost:${port}`, method = 'GET' } = {}): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers: { host }, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.once('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
    });
    asked.once('error', reject).end();
  });
}

test('the page is the own release’s at every place within it, with a nonce of its own each time', async () => {
  const [first, second] = [await get('/'), await get('/devices/42?x=1')];
  for (const { status, headers, text } of [first, second]) {
    assert.deepEqual([status, headers['cache-control']], [200, 'no-store']);
    const nonce = /^<style nonce="([\w-]{24})"><\/style>own$/.exec(text)?.[1];
    const policy = String(headers['content-security-policy']);
    assert.ok(nonce !== undefined && policy.includes(`style-src 'self' 'nonce-${nonce}'`), policy);
    assert.match(policy, /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/);
    assert.doesNotMatch(policy, /unsafe|\*/);
  }
  assert.notEqual(first.text, second.text);
});

test('hashed files of every installed release are kept by browsers, other files are the own release’s alone', async () => {
  for (const release of ['2.0.0', '1.0.0']) {
    const { status, headers, text } = await get(`/assets/page-${release}.js`);
    assert.deepEqual([status, text], [200, `// ${release}`]);
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8');
  }
  assert.equal((await get('/only-2.0.0.svg')).headers['content-type'], 'image/svg+xml');
  assert.match((await get('/only-1.0.0.svg')).text, /own$/);
  assert.equal((await get('/assets/page-3.0.0.js')).status, 404);
  const head = await get('/assets/page-2.0.0.js', { method: 'HEAD' });
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '8']);
});

test('no path leads out of the folders', async () => {
  const paths = ['/../secret.txt', '/assets/../../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt'];
  paths.push(
    '//secret.txt',
    '/./../secret.txt',
    '/assets/..%5c..%5csecret.txt',
    '/\\..\\secret.txt',
    `/${folder}/secret.txt`,
  );
  paths.push(
    '/assets',
    '/assets/',
    '/assets/page-2.0.0.js/',
    `/assets/${'a'.repeat(5000)}`,
    '/assets/page-2.0.0.js%00.html',
  );
  for (const path of paths) {
    const { status, text } = await get(path);
    assert.ok(!text.includes(secret), path);
    assert.ok(status === 404 || /own$/.test(text), `${path}: ${status} ${text}`);
  }
});

test('a page is given by own names alone, and an address that has one is redirected to it', async () => {
  for (const host of ['localhost', 'bramble.example.org', 'BRAMBLE.example.org:8080', '[::1]:3180', '192.0.2.7:3180']) {
    assert.equal((await get('/', { host })).status, 200, host);
  }
  for (const host of [
    'attacker.example',
    'bramble.example.org.attacker.example',
    'localhost@attacker.example',
    'a b',
  ]) {
    assert.ok([400, 421].includes((await get('/', { host })).status ?? 0), host);
  }
  const { status, headers } = await get('/sessions?x=1', { host: `127.0.0.1:${port}` });
  assert.deepEqual([status, headers['location']], [307, `http://localhost:${port}/sessions?x=1`]);
  assert.equal((await get('/assets/page-2.0.0.js', { host: `127.0.0.1:${port}` })).status, 200);
});

test('the API is on the same origin, whatever the name, and knows where a request arrived', async () => {
  const { status, headers, text } = await get('/api/v1/status', { host: 'forwarded.example', method: 'POST' });
  assert.deepEqual([status, JSON.parse(text)], [200, { scheme: 'http', names: ['bramble.example.org'] }]);
  assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'");
});

test('every answer tells browsers to be strict, and who gives it', async () => {
  for (const path of ['/', '/assets/page-2.0.0.js', '/assets/none.js', '/api/v1/status']) {
    const { headers } = await get(path);
    const { 'x-content-type-options': sniff, 'x-frame-options': frames, 'referrer-policy': referrer } = headers;
    assert.deepEqual([sniff, frames, referrer], ['nosniff', 'DENY', 'no-referrer'], path);
    assert.equal(headers['bramble-served-by'], 'coordinator', path);
  }
  for (const method of ['DELETE', 'TRACE']) assert.equal((await get('/', { method })).status, 405);
  assert.match((await get('/metrics')).text, /own$/, 'figures of the process are not told here');
});

test('who was accepted just before the end is still heard and answered', async () => {
  const ending = createConsoleServer({
    ...{ app: { routing: (_, answer) => void answer.end('late') }, folders: async function* () {}, names: [] },
    servedBy: 'administration',
  });
  ending.server.listen(0, '127.0.0.1');
  await once(ending.server, 'listening');
  const accepted = once(ending.server, 'connection');
  const { port: own } = ending.server.address() as AddressInfo;
  const socket = connect({ port: own, host: '127.0.0.1' });
  await accepted;
  const closed = ending.close();
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  socket.write('GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'end');
  await closed;
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*late/i);
});

test('one address has not all connections, and what is never whole has an end', async () => {
  const sockets = Array.from({ length: 300 }, () => connect({ port, host: '127.0.0.1' }));
  for (const socket of sockets) socket.on('error', () => undefined).resume();
  try {
    await until('some are closed', 30_000, () => sockets.filter(({ closed }) => closed).length >= 300 - 256);
    const other = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    other.write('GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n');
    // The body never comes, and the connection ends with the answer.
    assert.match(await textOf(other), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*own/i);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
