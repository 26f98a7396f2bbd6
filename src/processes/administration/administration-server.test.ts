/** What holds for every route: tokens, input, errors, the description, and the release fence. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { askedDeliveryStates } from '../../api/deliveries.ts';
import { shownDeviceStates } from '../../api/devices.ts';
import type { Operation } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import { deliveryStates } from '../../states/delivery-states.ts';
import { deviceStates } from '../../states/device-states.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('a request without a token is refused with ERR_TOKEN_MISSING', async () => {
  const response = await fetch(`${admin.url}/api/v1/status`);
  assert.equal(response.status, 401);
  assert.equal(response.headers.get('www-authenticate'), 'Bearer');
  assert.equal(codeOf(await response.json()), 'ERR_TOKEN_MISSING');
});

test('an unknown token and a revoked one are refused alike', async () => {
  const made = await admin.call('POST', '/tokens', { name: 'short-lived' });
  assert.equal(made.status, 201);
  const { token } = made.body as { token: string };
  const ask = async (bearer: string) => {
    const response = await fetch(`${admin.url}/api/v1/features`, { headers: { authorization: `Bearer ${bearer}` } });
    const { instance, ...body } = (await response.json()) as { instance?: string };
    return { status: response.status, body };
  };
  assert.equal((await ask(token)).status, 200);
  assert.equal((await admin.call('DELETE', '/tokens/short-lived')).status, 204);
  const revoked = await ask(token);
  assert.equal(revoked.status, 401);
  assert.deepEqual(revoked, await ask(`bramble_${'x'.repeat(43)}`));
  assert.equal(codeOf(revoked.body), 'ERR_TOKEN_INVALID');
});

test('the last valid token cannot be revoked', async () => {
  const { status, body } = await admin.call('DELETE', '/tokens/first');
  assert.equal(status, 409);
  assert.equal(codeOf(body), 'ERR_CONFLICT');
});

test('a failure is answered as problem details, which contain what earlier clients read', async () => {
  const response = await fetch(`${admin.url}/api/v1/accounts/nobody`, {
    headers: { authorization: `Bearer ${admin.token}` },
  });
  const body = (await response.json()) as { message: string };
  assert.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8');
  assert.deepEqual(body, {
    type: 'urn:bramble:ERR_NOT_FOUND',
    title: 'Not found',
    status: 404,
    detail: body.message,
    instance: `urn:uuid:${response.headers.get('x-request-id')}`,
    code: 'ERR_NOT_FOUND',
    message: 'There is no account "nobody".',
    details: { what: 'account', name: 'nobody' },
  });
});

test('no browser keeps an answer, or shows it as a page', async () => {
  for (const path of ['/api/v1/status', '/api/v1/openapi.json', '/api/v1/none', '/%ff']) {
    const { headers } = await fetch(`${admin.url}${path}`);
    assert.deepEqual(
      ['cache-control', 'x-content-type-options', 'content-security-policy'].map((name) => headers.get(name)),
      ['no-store', 'nosniff', "default-src 'none'; frame-ancestors 'none'"],
      path,
    );
  }
});

test('what no route gets to see is answered in the same form', async () => {
  const unread = async (text: string) => {
    const socket = connect(Number(new URL(admin.url).port), '127.0.0.1');
    socket.end(text);
    const [head = '', body = ''] = (await textOf(socket)).split('\r\n\r\n');
    assert.match(head, /^content-type: application\/problem\+json/im);
    return (JSON.parse(body) as { type: string; status: number }).type;
  };
  assert.equal(await unread('no request\r\n\r\n'), 'urn:bramble:ERR_BAD_REQUEST');
  assert.equal(await unread(`GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}`), 'urn:bramble:ERR_HEADERS_TOO_LARGE');
  assert.equal(await unread('GET /%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), 'urn:bramble:ERR_INPUT');
  assert.equal(
    await unread('TRACE /api/v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
    'urn:bramble:ERR_NOT_FOUND',
  );
  assert.equal(await unread('GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), 'urn:bramble:ERR_NOT_FOUND');
});

test('every answer names the release, and that changes may be sent again', async () => {
  for (const path of ['/healthz', '/readyz', '/nowhere', '/api/v1/openapi.json', '/api/v1/status']) {
    const { headers } = await fetch(`${admin.url}${path}`);
    assert.equal(headers.get('bramble-release'), admin.context.release, path);
    assert.equal(headers.get('bramble-abilities'), 'idempotency-key', path);
  }
});

test('a client may name the release that it was written for', async () => {
  const ask = async (version: string) => {
    const response = await fetch(`${admin.url}/api/v1/openapi.json`, { headers: { 'bramble-version': version } });
    return [response.status, codeOf(await response.json())];
  };
  for (const version of ['1.1', '1.4.0', '1.5', '1.99'])
    assert.deepEqual(await ask(version), [200, undefined], version);
  for (const version of ['0.9', '2.0']) assert.deepEqual(await ask(version), [400, 'ERR_API_VERSION'], version);
  for (const version of ['', '1', 'v1.5', '1.5, 1.6'])
    assert.deepEqual(await ask(version), [400, 'ERR_INPUT'], version);
});

test('a field that does not fit is named', async () => {
  const { status, body } = await admin.call('POST', '/accounts', { name: 7 });
  assert.equal(status, 400);
  assert.equal(codeOf(body), 'ERR_INPUT');
  assert.deepEqual((body as { details: unknown }).details, { field: 'body.name' });
});

test('a body that is not JSON, of another type, or too large is refused with its own code', async () => {
  const send = async (type: string, body: string) => {
    const response = await fetch(`${admin.url}/api/v1/accounts`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': type },
      body,
    });
    return [response.status, codeOf(await response.json())];
  };
  assert.deepEqual(await send('application/json', '{"name":'), [400, 'ERR_INPUT']);
  assert.deepEqual(await send('text/xml', '<a/>'), [415, 'ERR_MEDIA_TYPE']);
  const large = JSON.stringify({ name: 'x'.repeat(1024 * 1024) });
  assert.deepEqual(await send('application/json', large), [413, 'ERR_BODY_TOO_LARGE']);
});

test('an unknown key or parameter, and text that would be stored as something else, are refused', async () => {
  const post = async (body: string | Uint8Array<ArrayBuffer>, path = '/accounts') => {
    const response = await fetch(`${admin.url}/api/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/json' },
      body,
    });
    return { status: response.status, ...((await response.json()) as { message: string }) };
  };
  const refused: [string | Uint8Array<ArrayBuffer>, RegExp, string?][] = [
    ['{"name":"eve","group":["sales"]}', /^group is unknown; expected: name/],
    ['{"toRelease":"1.2.0","wavePercentage":[50]}', /^wavePercentage is unknown/, '/upgrade/plan'],
    ['{"name":"eve\\ud800"}', /an unpaired surrogate/],
    [Buffer.concat([Buffer.from('{"name":"eve'), Buffer.from([0xc3]), Buffer.from('"}')]), /not UTF-8/],
    [`{"rules":${'['.repeat(100)}${']'.repeat(100)}}`, /is nested deeper than 64 levels/, '/it-policies'],
    ['{"name":"eve"}', /^The query contains a percent sign/, '/accounts?x=%ff'],
    ['{}', /^The path /, '/accounts/%ff/password'],
    ['{}', /^The path /, '/accounts/%/password?x=1'],
  ];
  for (const [body, reason, path] of refused) {
    const { status, message } = await post(body, path);
    assert.equal(status, 400, message);
    assert.match(message, reason);
  }
  const unknown = await admin.call('GET', '/accounts?instanse=one');
  assert.match((unknown.body as { message: string }).message, /^instanse is unknown/);
  assert.equal((await post('\ufeff{"name":"with-a-mark"}')).status, 201);
});

test('an unknown path is 404 ERR_NOT_FOUND, with and without a token', async () => {
  assert.equal(codeOf((await admin.call('GET', '/nowhere')).body), 'ERR_NOT_FOUND');
  const response = await fetch(`${admin.url}/nowhere`);
  assert.equal(response.status, 404);
  assert.equal(codeOf(await response.json()), 'ERR_NOT_FOUND');
});

test('every route has a summary, a tag and answers described in the OpenAPI document', async () => {
  const response = await fetch(`${admin.url}/api/v1/openapi.json`);
  assert.equal(response.status, 200);
  const document = (await response.json()) as {
    paths: Record<string, Record<string, { summary?: string; tags?: string[]; responses?: object }>>;
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ route: `${method} ${path}`, operation })),
  );
  assert.ok(operations.length > 50, `only ${operations.length} operations`);
  for (const { route, operation } of operations) {
    assert.ok(operation.summary, `${route} has no summary`);
    assert.equal(operation.tags?.length, 1, `${route} has no tag`);
    assert.ok(
      Object.keys(operation.responses ?? {}).some((status) => status.startsWith('2')),
      `${route} has no answer`,
    );
  }
});

test('what is served is the table of operations, and nothing else', async () => {
  const document = (await (await fetch(`${admin.url}/api/v1/openapi.json`)).json()) as {
    paths: Record<string, object>;
  };
  const served = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  const inTable = Object.values(resources).flatMap((operations) =>
    Object.values<Operation>(operations).map(({ method, path }) => `${method} /api/v1${path}`),
  );
  assert.deepEqual(served.sort(), inTable.sort());
});

test('devices and deliveries can be asked for by every state that they can have', () => {
  assert.deepEqual([...shownDeviceStates].sort(), [...deviceStates.states, 'suspended', 'leaving'].sort());
  assert.deepEqual([...askedDeliveryStates].sort(), ['open', ...deliveryStates.states].sort());
});

test('an unexpected failure is ERR_INTERNAL without its text', async () => {
  await admin.db`alter table event rename to event_away`;
  try {
    const { status, body } = await admin.call('GET', '/events');
    assert.equal(status, 500);
    assert.equal(codeOf(body), 'ERR_INTERNAL');
    assert.doesNotMatch(JSON.stringify(body), /event|select|\.ts/i);
  } finally {
    await admin.db`alter table event_away rename to event`;
  }
});

test('an administration service of another release writes nothing: ERR_RELEASE_FENCED', async () => {
  await admin.db`update domain set release = '99.0.0'`;
  try {
    const { status, body } = await admin.call('POST', '/groups', { name: 'late' });
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_RELEASE_FENCED']);
    assert.equal((await admin.db`select 1 from account_group where name = 'late'`).length, 0);
  } finally {
    await admin.db`update domain set release = ${admin.context.release}`;
  }
});
