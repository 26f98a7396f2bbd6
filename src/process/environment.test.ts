import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as z from 'zod';
import { announceAddress, announcedAddresses } from '../component/service-address.ts';
import { readEnvironment, requireDatabaseUrl } from './environment.ts';
import { createRegistry, startHealthServer } from './health.ts';

const settings = z.object({ port: z.number().int().default(0) });
const good = { BRAMBLE_HOME: '/var/lib/bramble', BRAMBLE_COMPONENT: 'admin-1', BRAMBLE_SETTINGS: '{"port":7}' };

test('the environment of a process is read with its settings and defaults', () => {
  const environment = readEnvironment(good, settings);
  assert.deepEqual(environment.settings, { port: 7 });
  assert.equal(environment.logLevel, 'info');
  assert.throws(() => requireDatabaseUrl(environment), { code: 'ERR_ENVIRONMENT' });
});

test('a variable that does not fit is named', () => {
  const cases = [
    [{ ...good, BRAMBLE_COMPONENT: '../x' }, 'BRAMBLE_COMPONENT'],
    [{ BRAMBLE_COMPONENT: 'a' }, 'BRAMBLE_HOME'],
    [{ ...good, BRAMBLE_SETTINGS: '{"port":"x"}' }, 'BRAMBLE_SETTINGS.port'],
  ] as const;
  for (const [environment, variable] of cases) {
    assert.throws(() => readEnvironment(environment, settings), { code: 'ERR_ENVIRONMENT', details: { variable } });
  }
  assert.throws(() => readEnvironment({ ...good, BRAMBLE_SETTINGS: '{' }, settings), { code: 'ERR_ENVIRONMENT' });
});

test('health paths answer: alive, not ready with the reason, metrics, and 404 elsewhere', async () => {
  let reason: string | null = 'it is starting';
  const registry = createRegistry({ name: 'admin-1', kind: 'administration', release: '1.0.0' });
  const server = await startHealthServer({ registry, ready: () => reason });
  try {
    const get = async (path: string) => {
      const response = await fetch(`${server.url}${path}`);
      return { status: response.status, text: await response.text() };
    };
    assert.equal((await get('/healthz')).status, 200);
    assert.deepEqual(await get('/readyz'), { status: 503, text: '{"status":"not-ready","reason":"it is starting"}' });
    reason = null;
    assert.equal((await get('/readyz')).status, 200);
    assert.match((await get('/metrics')).text, /bramble_component_info\{name="admin-1"/);
    assert.equal((await get('/other')).status, 404);
  } finally {
    await server.close();
  }
});

test('an announced address is found until it is withdrawn, and a successor’s is left alone', async () => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-address-'));
  try {
    assert.deepEqual(await announcedAddresses(home), []);
    const withdraw = await announceAddress(home, 'admin-1', 'http://127.0.0.1:1');
    await announceAddress(home, 'admin-2', 'http://127.0.0.1:2');
    assert.deepEqual(await announcedAddresses(home), ['http://127.0.0.1:1', 'http://127.0.0.1:2']);
    await withdraw();
    assert.deepEqual(await announcedAddresses(home), ['http://127.0.0.1:2']);
  } finally {
    await rm(home, { recursive: true });
  }
});
