/** The console's address as a process opens it by itself, over TLS, with files that are renewed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Clock } from '../base/clock.ts';
import { createLogger } from '../process/log/logger.ts';
import { wantedSockets } from '../process/wanted-sockets.ts';
import { createConsoleServer } from '../rest/console-server.ts';
import { createLoopbackCertificate } from '../simulator/loopback-certificate.ts';
import { until } from '../testing/condition.ts';
import { followConsoleCertificate, readConsoleCertificate } from './console-certificate.ts';
import { serveConsole } from './console-listener.ts';

const home = await mkdtemp(join(tmpdir(), 'bramble-console-'));
after(async () => await rm(home, { recursive: true, force: true }));
const files = { certificate: 'console.pem', key: 'console.key' };
const log = createLogger({ kind: 'test', name: 'test', release: '1.0.0', level: 'error' });

const app = { routing: (_: unknown, answer: { end(): unknown }) => void answer.end() };

/** Of a process that opens the address by itself. */
function contextOf(folder: string) {
  const environment = { home: folder, name: 'administration-1', host: undefined, logLevel: 'error' };
  const given = { databaseUrl: undefined, handedSockets: undefined, settings: {}, givenSettings: {} };
  return { environment: { ...environment, ...given }, log, sockets: wantedSockets({ handedSockets: undefined }) };
}

async function write({ cert, key }: { cert: string; key: string }): Promise<void> {
  await writeFile(join(home, files.certificate), cert);
  await writeFile(join(home, files.key), key);
}

async function issue(): Promise<{ cert: string; key: string; ca: string }> {
  const { certificatePem, keyPem, caPem } = await createLoopbackCertificate('console');
  return { cert: certificatePem, key: keyPem, ca: caPem };
}

async function status(url: string, ca: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const asked = request(`${url}/api/v1/status`, { ca, agent: false }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode));
    });
    asked.once('error', reject).end();
  });
}

test('it is announced, speaks TLS, waits for files that are missing, and is closed when it is to end', async () => {
  const console = { port: 0, names: ['localhost'], ...files };
  await writeFile(
    join(home, 'config.json'),
    JSON.stringify({ database: { embedded: true }, host: 'here', publicPort: 0, srpPort: 0, console }),
  );
  const ending = new AbortController();
  const context = contextOf(home);
  const { sockets } = context;
  const served = serveConsole(
    context,
    ({ names }, certificate) =>
      createConsoleServer({ app, folders: async function* () {}, names, certificate, servedBy: 'administration' }),
    ending.signal,
  );
  const pair = await issue();
  await write(pair);
  let url = '';
  await until('the address is announced', 30_000, async () => {
    const text = await readFile(join(home, 'console.json'), 'utf8').catch(() => '{}');
    ({ url = '' } = JSON.parse(text) as { url?: string });
    return url !== '';
  });
  assert.match(url, /^https:\/\/localhost:\d+$/);
  assert.equal(await status(url, pair.ca), 200);
  assert.equal(sockets.descriptors().size, 1);
  ending.abort(new Error('the test is over'));
  await served;
  assert.equal(sockets.descriptors().size, 0);
  await assert.rejects(status(url, pair.ca), { code: 'ECONNREFUSED' });
});

test('an address that is taken is told once, and served when it is free', async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  const place = await mkdtemp(join(tmpdir(), 'bramble-console-'));
  t.after(async () => await rm(place, { recursive: true, force: true }));
  const configuration = { database: { embedded: true }, host: 'here', publicPort: 0, srpPort: 0, console: { port } };
  await writeFile(join(place, 'config.json'), JSON.stringify(configuration));
  const ending = new AbortController();
  const told: string[] = [];
  const served = serveConsole(
    contextOf(place),
    ({ names }, certificate) =>
      createConsoleServer({ app, folders: async function* () {}, names, certificate, servedBy: 'administration' }),
    ending.signal,
    { tell: (reason) => told.push(reason), afterMs: 1 },
  );
  await until('it is told', 30_000, () => told.length > 0);
  assert.match(told[0] ?? '', /EADDRINUSE/);
  taken.close();
  await until('it is served', 30_000, async () => {
    const answered = await fetch(`http://127.0.0.1:${port}/api/v1/status`).catch(() => undefined);
    return answered?.status === 200;
  });
  assert.equal(told.length, 1);
  ending.abort(new Error('the test is over'));
  await served;
});

test('a renewed pair is taken, and a half of one changes nothing', async () => {
  const present = await issue();
  const [renewed, other] = [await issue(), await issue()];
  const used: string[] = [];
  const ending = new AbortController();
  // Each look finds the next state of the files.
  const states = [present, { cert: renewed.cert, key: present.key }, renewed, renewed, { cert: other.cert, key: '' }];
  const clock: Clock = {
    now: () => 0,
    sleep: async () => {
      const next = states.shift();
      if (next === undefined) ending.abort(new Error('all seen'));
      else await write(next);
    },
  };
  await followConsoleCertificate({
    ...{ read: async () => await readConsoleCertificate(home, files), present, clock, log, signal: ending.signal },
    use: ({ cert }) => void used.push(cert),
  });
  assert.deepEqual(used, [renewed.cert]);
  assert.equal(await readConsoleCertificate(home, {}), null);
});
