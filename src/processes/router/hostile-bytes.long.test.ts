/**
 * Whatever comes in at the public port, no link ends and no request on one fails: real TLS, real links, requests of
 * HTTP/1.1 and frames of HTTP/2, mutated as values, as lines or frames, and as bytes. A failing run prints its seed.
 */

import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { until } from '../../testing/condition.ts';
import { endingWithin } from '../../testing/property.ts';
import type { RouterLink } from './link-registry.ts';
import { ask, connectRaw, createStage, frame, newToken, nextUp, preface, type Stage } from './router-fixture.ts';

const numRuns = 150;
const latin1 = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), minLength, maxLength });

/** What a careless hop would hand on. */
const oddValue = fc.oneof(
  { weight: 1, arbitrary: latin1(0, 40) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...['', ' ', 'a b', 'a/b', 'a,b', '\t', 'x ', '\x80\xff', 'caf\xe9', '\0', 'a\rb', 'a\nb', 'chunked', 'gzip'],
      ...['trailers', 'close, te', '-1', '0', '1', '5', '99999999999', '1, 1', '100-continue', 'h2c', 'websocket', '*'],
      ...['a:443', 'user@a', '[::1', 'https://a/', '//', '/.bramble/route', '%2e%2e', '#', 'CONNECT', 'connect'],
      'x'.repeat(5000),
      'x'.repeat(70_000),
    ),
  },
);
const oddName = fc.oneof(
  { weight: 1, arbitrary: latin1(0, 12) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...['host', 'Host', ':authority', ':path', ':method', ':scheme', ':status', ':protocol', ':x', '', ' ', 'te'],
      ...['connection', 'transfer-encoding', 'content-length', 'upgrade', 'http2-settings', 'expect', 'trailer'],
      ...['keep-alive', 'proxy-connection', 'set-cookie', 'cookie', 'priority', 'client-cert', 'bramble-owner'],
      ...['__proto__', 'constructor', 'content-type', 'mdm-signature', 'X Y', 'x:y', 'UPPER', '\x80'],
    ),
  },
);
const at = fc.nat(0xffff);
/** A change of the request line, of one header, or of one byte. */
const mutation = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('value' as const), at, value: oddValue }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('header' as const), at, name: oddName, value: oddValue }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('line' as const), at, value: oddValue }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('twice' as const), at }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('byte' as const), at, byte: fc.integer({ min: 0, max: 255 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), at }) },
);
type Mutation = typeof mutation extends fc.Arbitrary<infer Value> ? Value : never;
type Field = [name: string, value: string];

/** What concerns the fields of a head. */
function mutateFields(fields: readonly Field[], mutations: readonly Mutation[]): Field[] {
  const changed: Field[] = fields.map((field) => [...field]);
  for (const change of mutations) {
    const index = changed.length === 0 ? 0 : change.at % changed.length;
    const field = changed[index];
    if (change.kind === 'value' && field) field[1] = change.value;
    // Often behind all others: nothing of HTTP/2's own may follow.
    else if (change.kind === 'header') changed.splice(2 * index, 0, [change.name, change.value]);
    else if (change.kind === 'drop') changed.splice(index, 1);
    else if (change.kind === 'twice' && field) changed.splice(index, 0, [...field]);
  }
  return changed;
}

function mutateBytes(bytes: Buffer, mutations: readonly Mutation[]): Buffer {
  let changed = Buffer.from(bytes);
  for (const change of mutations) {
    const index = change.at % Math.max(1, changed.length);
    if (change.kind === 'byte') changed[index] = change.byte;
    else if (change.kind === 'cut') changed = Buffer.concat([changed.subarray(0, index), changed.subarray(index + 3)]);
  }
  return changed;
}

const request = fc.record({
  method: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom('GET', 'PUT', 'POST') },
    { weight: 1, arbitrary: fc.constantFrom('HEAD', 'CONNECT', 'OPTIONS') },
  ),
  place: fc.constantFrom('connect', 'connect', 'checkin', 'scep', 'activate', 'none'),
  body: fc.constantFrom('', 'hello', 'x'.repeat(5000)),
  mutations: fc.array(mutation, { minLength: 1, maxLength: 2 }),
});
type Request = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

describe('whatever bytes come in at the public port', { timeout: 240_000 }, () => {
  let stage: Stage;
  let token: string;
  let links: (RouterLink | undefined)[];
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let failures: number[] = [];
  let passedOn = 0;

  before(async () => {
    stage = await createStage({ onAnswer: (status) => status >= 500 && failures.push(status), deadlineMs: 20_000 });
    token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    const link = await stage.dial('S00000001', {
      handlers: {
        request: (request, response) => {
          if (request.headers['x-honest'] === undefined) passedOn += 1;
          request.on('data', () => undefined);
          request.on('end', () => response.writeHead(200, { 'content-type': 'text/plain' }).end('served'));
        },
      },
    });
    await nextUp(link);
    links = stage.router.links.all();
    assert.equal(links.length, 1);
  });
  after(async () => {
    agent.destroy();
    await stage.close();
  });

  const pathOf = (place: string) =>
    place === 'activate' || place === 'none'
      ? `/${place}`
      : place === 'scep'
        ? `/scep/${token}`
        : `/mdm/${token}/${place}`;

  const honest = { body: 'honest', headers: { 'x-honest': '1' }, agent };

  /** Every answer within is under 500, the links are the same ones, and who is honest is served. */
  async function unharmed(): Promise<void> {
    await until('no request is under way', 60_000, () => stage.router.requestsUnderWay === 0);
    assert.deepEqual(failures.splice(0), []);
    assert.deepEqual(stage.router.links.all(), links);
    assert.equal((await ask(stage, pathOf('connect'), honest)).status, 200);
  }

  async function send(protocol: string, bytes: Buffer): Promise<void> {
    const socket = await connectRaw(stage, { ALPNProtocols: [protocol] });
    socket.resume();
    // Not by `once` of node:events: a reset connection is an end like another.
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.end(bytes);
    await closed;
  }

  test('requests of HTTP/1.1 harm no link', async () => {
    failures = [];
    passedOn = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 2 }),
        fc.constantFrom('1.1', '1.0'),
        async (all, version) => {
          await send('http/1.1', Buffer.concat(all.map((each) => http1Bytes(each, pathOf(each.place), version))));
          await unharmed();
        },
      ),
      { numRuns, ...endingWithin(100_000) },
    );
    assert.ok(passedOn > 5, `only ${passedOn} of what was sent reached an instance`);
  });

  test('frames of HTTP/2 harm no link', async () => {
    failures = [];
    passedOn = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 2 }),
        fc.array(mutation, { maxLength: 2 }),
        async (all, broken) => {
          const frames = all.flatMap((each, index) => http2Frames(each, pathOf(each.place), 2 * index + 1));
          const bytes = Buffer.concat([
            preface,
            frame(4, 0, 0, Buffer.alloc(0)),
            mutateBytes(Buffer.concat(frames), broken),
          ]);
          await send('h2', bytes);
          await unharmed();
        },
      ),
      { numRuns, ...endingWithin(100_000) },
    );
    assert.ok(passedOn > 5, `only ${passedOn} of what was sent reached an instance`);
  });
});

function http1Bytes({ method, body, mutations }: Request, path: string, version: string): Buffer {
  const fields: Field[] = [
    ['Host', 'router.test'],
    ['Content-Type', 'application/xml'],
    ...(body === '' ? [] : ([['Content-Length', String(body.length)]] satisfies Field[])),
  ];
  const line = [method, method === 'CONNECT' ? 'intranet.example:443' : path, `HTTP/${version}`];
  for (const change of mutations) if (change.kind === 'line') line[change.at % 3] = change.value;
  const lines = mutateFields(fields, mutations).map(([name, value]) => `${name}: ${value}`);
  const head = [line.join(' '), ...lines, '', ''];
  return mutateBytes(Buffer.from(head.join('\r\n') + body, 'latin1'), mutations);
}

function http2Frames({ method, body, mutations }: Request, path: string, stream: number): Buffer[] {
  const fields: Field[] = [
    [':method', method],
    [':authority', method === 'CONNECT' ? 'intranet.example:443' : 'router.test'],
    ...(method === 'CONNECT'
      ? []
      : ([
          [':scheme', 'https'],
          [':path', path],
        ] satisfies Field[])),
    ['content-type', 'application/xml'],
  ];
  const block = Buffer.concat(mutateFields(fields, mutations).map(literal));
  const pieces: Buffer[] = [];
  for (let from = 0; from === 0 || from < block.length; from += 16_384)
    pieces.push(block.subarray(from, from + 16_384));
  const headers = pieces.map((piece, index) => {
    const last = index === pieces.length - 1 ? 4 : 0;
    return frame(index === 0 ? 1 : 9, last | (index === 0 && body === '' ? 1 : 0), stream, piece);
  });
  return body === '' ? headers : [...headers, frame(0, 1, stream, Buffer.from(body))];
}

/** A header field without indexing, of a new name, without Huffman coding (RFC 7541 §6.2.2). */
function literal([name, value]: Field): Buffer {
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

function text(latin: string): Buffer {
  const length: number[] = [];
  let rest = latin.length;
  if (rest < 127) length.push(rest);
  else {
    length.push(127);
    for (rest -= 127; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), Buffer.from(latin, 'latin1')]);
}
