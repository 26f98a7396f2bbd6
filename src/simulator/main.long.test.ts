import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { budgetSchema } from '../api/budget.ts';
import { readAdministrationAccess } from './administration-access.ts';
import { duration } from './command-line.ts';
import { type SimulateOptions, simulate } from './main.ts';
import { startMdmServer, testPassword } from './mdm-server-fixture.ts';

/** Enough of the administration service's REST API for the simulator, over real HTTP. */
const vendorUrl = 'https://api.push.apple.com';

const oneDevice = (url: string, token = 'secret'): SimulateOptions => ({
  ...{ devices: 1, accounts: 1, seed: 'main', prefix: '', intervalMs: 1000, pushPort: 0 },
  findAccess: async () => ({ urls: [url], token }),
  ...{ replacePush: false, control: false, json: true },
});

const someTime = '2026-11-25T08:00:00.000Z';
/** What a domain of 1.1 sends of its status. */
const statusOf = (publicUrl: string) => ({
  domain: {
    ...{ name: 'd', publicUrl, tunnelHost: 'tunnel.test', release: '1.1.0', schemaVersion: 1, featureLevel: '1.1.0' },
  },
  ...{ components: [], instances: [], openMoves: [], upgrade: null },
  deliveries: { inFlight: 0, suspects: 0, budget: budgetSchema.parse({}) },
});

async function startAdministration(context: TestContext, publicUrl: string, hasCertificate = false, url = vendorUrl) {
  let push: object = { url };
  let refusing = 0;
  const calls: { method: string; path: string; body: unknown }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const path = request.url ?? '';
    const lines = text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    calls.push({ method: request.method ?? '', path, body: lines.length > 1 ? lines : lines[0] });
    const reply = (status: number, value: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (refusing > 0) {
      refusing -= 1;
      reply(409, { code: 'ERR_RELEASE_FENCED', message: 'no administration service is at work just now' });
    } else if (request.headers.authorization !== 'Bearer secret')
      reply(401, { code: 'ERR_TOKEN', message: 'no such token' });
    else if (path === '/api/v1/budget') reply(200, {});
    else if (path === '/api/v1/status') reply(200, statusOf(publicUrl));
    else if (path === '/api/v1/push') {
      if (request.method === 'PUT') push = { url: vendorUrl, ...JSON.parse(text) };
      reply(200, { caPem: null, hasOwnAuthority: false, ...push, hasCertificate });
    } else if (path.endsWith('/activation-password')) {
      reply(200, { password: testPassword, expiresAt: someTime, activationUrl: `${publicUrl}/activate` });
    } else if (path === '/api/v1/accounts/import') {
      reply(200, { created: lines.length - 1, skipped: [{ name: lines[0].name, reason: 'it already exists' }] });
    } else reply(404, { code: 'ERR_NOT_FOUND', message: 'no such address' });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  context.after(() => server.close());
  const refuse = (times: number): void => {
    refusing = times;
  };
  const setPush = (value: object): void => {
    push = value;
  };
  return {
    calls,
    refuse,
    setPush,
    push: () => push,
    close: () => server.close(),
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
}

function collect(): { stream: Writable; text(): string } {
  let written = '';
  const stream = new Writable({
    write(chunk, _, done) {
      written += chunk;
      done();
    },
  });
  return { stream, text: () => written };
}

test('a fleet is set up over the REST API, lives, is directed, and ends with a summary', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'simulate-'));
  context.after(() => rm(folder, { recursive: true }));
  const server = await startMdmServer();
  context.after(() => server.close());
  const administration = await startAdministration(context, server.url);
  const exportPath = join(folder, 'devices.json');
  const options: SimulateOptions = {
    ...oneDevice(administration.url),
    devices: 5,
    accounts: 3,
    findAccess: async () => ({ urls: ['http://127.0.0.1:1', administration.url], token: 'secret' }),
    intervalMs: 20,
    prefix: 'x-',
    exportPath,
    control: true,
    json: false,
  };
  const input = new PassThrough();
  const output = collect();
  input.write('{"do":"devices"}\n{"do":"stop"}\n');
  const errors = collect();
  const streams = { input, output: output.stream, errors: errors.stream };
  const result = await simulate(options, streams, new AbortController().signal);
  assert.equal(result.devices.managed, 5);
  assert.equal(result.activationsRefused, 0);
  const lines = output
    .text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ event, do: command }) => event ?? command),
    ['ready', 'devices', 'stop', 'summary'],
  );
  const set = administration.calls.find(({ method, path }) => method === 'PUT' && path === '/api/v1/push');
  const push = set?.body as { url: string; caPem: string };
  assert.match(push.url, /^https:\/\/127\.0\.0\.1:\d+$/);
  assert.match(push.caPem, /BEGIN CERTIFICATE/);
  assert.deepEqual(administration.push(), { url: vendorUrl }, 'put back at the end');
  const created = administration.calls.filter(({ path }) => path === '/api/v1/accounts/import');
  assert.deepEqual(
    created.map(({ body }) => body),
    [[{ name: 'x-user-0001' }, { name: 'x-user-0002' }, { name: 'x-user-0003' }]],
  );
  assert.match(errors.text(), /1 of 3 accounts were not created\. x-user-0001: it already exists\./);
  const exported = await readFile(exportPath, 'utf8');
  assert.equal(JSON.parse(exported).length, 5);
  assert.doesNotMatch(exported, /PRIVATE KEY/);
});

test('a refusal of the administration service keeps its code', async (context) => {
  const administration = await startAdministration(context, 'https://127.0.0.1:1');
  const options = oneDevice(administration.url, 'wrong');
  const streams = { input: new PassThrough(), output: collect().stream, errors: collect().stream };
  await assert.rejects(simulate(options, streams, new AbortController().signal), { code: 'ERR_TOKEN' });
});

test('a domain with a push certificate is left as it is', async (context) => {
  const administration = await startAdministration(context, 'https://127.0.0.1:1', true);
  const options = oneDevice(administration.url);
  const streams = { input: new PassThrough(), output: collect().stream, errors: collect().stream };
  await assert.rejects(simulate(options, streams, new AbortController().signal), {
    code: 'ERR_SIMULATOR_PUSH_CERTIFICATE',
  });
  assert.deepEqual(
    administration.calls.map(({ method }) => method),
    ['GET'],
  );
});

test('another push service is replaced only when told so, and put back after Ctrl-C', async (context) => {
  const server = await startMdmServer();
  context.after(() => server.close());
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', () => resolve()));
  context.after(() => other.close());
  const otherSimulator = `https://127.0.0.1:${(other.address() as AddressInfo).port}`;
  const runs = async (url: string, replacePush: boolean) => {
    const administration = await startAdministration(context, server.url, false, url);
    const interrupt = new AbortController();
    const errors = collect();
    const output = new Writable({
      write(chunk, _, done) {
        if (String(chunk).includes('"ready"')) interrupt.abort();
        done();
      },
    });
    const findAccess = async () => ({ urls: [administration.url], token: 'secret' });
    const fleet = { devices: 1, accounts: 1, seed: 'main', intervalMs: 1000, pushPort: 0, prefix: '' };
    await simulate(
      { ...fleet, findAccess, replacePush, control: false, json: true },
      { input: new PassThrough(), output, errors: errors.stream },
      interrupt.signal,
    );
    assert.ok(administration.calls.some(({ method, path }) => method === 'PUT' && path === '/api/v1/push'));
    assert.match(errors.text(), /wakes all its devices through https:.* of this simulator[\s\S]* again\./);
    return administration.push();
  };
  for (const url of [otherSimulator, 'https://relay.example.org']) {
    await assert.rejects(runs(url, false), { code: 'ERR_SIMULATOR_PUSH_SERVICE' });
    assert.deepEqual(await runs(url, true), { url });
  }
  const gone = otherSimulator;
  await new Promise<void>((resolve) => other.close(() => resolve()));
  assert.deepEqual(await runs(gone, false), { url: vendorUrl }, 'one that is gone is not put back');
});

test('the push service is put back though an upgrade has given the administration service another port', async (context) => {
  const server = await startMdmServer();
  context.after(() => server.close());
  const [before, after] = [
    await startAdministration(context, server.url),
    await startAdministration(context, server.url),
  ];
  const coordinator = await startAdministration(context, server.url);
  coordinator.refuse(Number.POSITIVE_INFINITY);
  let urls = [coordinator.url, before.url];
  const interrupt = new AbortController();
  const errors = collect();
  const output = new Writable({
    write(chunk, _, done) {
      if (String(chunk).includes('"ready"')) {
        // One domain has one setting; between the two services the coordinator alone answers.
        after.setPush(before.push());
        after.refuse(2);
        before.close();
        urls = [before.url, coordinator.url, after.url];
        interrupt.abort();
      }
      done();
    },
  });
  const fleet = { devices: 1, accounts: 1, seed: 'main', intervalMs: 1000, pushPort: 0, prefix: '' };
  await simulate(
    { ...fleet, findAccess: async () => ({ urls, token: 'secret' }), replacePush: false, control: false, json: true },
    { input: new PassThrough(), output, errors: errors.stream },
    interrupt.signal,
  );
  assert.match(errors.text(), /The domain's push service is https:\/\/api\.push\.apple\.com again\.\n$/);
  assert.deepEqual(after.push(), { url: vendorUrl });
});

test('without a domain the message says what to do', async () => {
  await assert.rejects(readAdministrationAccess(join(tmpdir(), 'no-such-domain')), { code: 'ERR_ADMIN_ACCESS' });
});

test('times are read in their units and refused without one', () => {
  assert.deepEqual(['500ms', '2s', '1.5m', '1h'].map(duration), [500, 2000, 90_000, 3_600_000]);
  assert.throws(() => duration('10'));
  assert.throws(() => duration('0s'));
});

test('on a terminal the state is one line that is drawn over, and Ctrl-C ends with the summary', async (context) => {
  const server = await startMdmServer();
  context.after(() => server.close());
  const administration = await startAdministration(context, server.url);
  const options = { ...oneDevice(administration.url), intervalMs: 20, json: false };
  const stop = new AbortController();
  const output = collect();
  const screen = new Writable({
    write(chunk: Buffer, _, done) {
      output.stream.write(chunk);
      if (chunk.toString().startsWith('\r')) stop.abort(new Error('SIGINT'));
      done();
    },
  });
  const terminal = Object.assign(screen, { isTTY: true, columns: 40 });
  await simulate(options, { input: new PassThrough(), output: terminal, errors: collect().stream }, stop.signal);
  const drawn = output.text().split('\r\u001b[K').slice(1);
  assert.ok(drawn.length > 0);
  for (const line of drawn) assert.ok((line.split('\n')[0] ?? '').length < 40, line);
  assert.match(output.text(), /^1 device of 1 account is managed by/m);
  assert.match(output.text(), /^devices +1 managed/m);
});
