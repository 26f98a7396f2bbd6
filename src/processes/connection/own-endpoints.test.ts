import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOwnEndpoints, ownPlaces } from './own-endpoints.ts';

const databaseUrl = 'postgres://bramble@database.example:5432/bramble';
const publicUrl = 'https://mdm.example';
const placesWith = (...routers: string[]) =>
  ownPlaces({ databaseUrl, publicUrl, routers: routers.map((host) => ({ host, port: 7000 })) });

const edge = 'mdm.example:443';
const database = 'database.example:5432';

/** Resolves a name to itself, unless it is said to fail. */
function ownEndpoints(initial: ReturnType<typeof placesWith>) {
  const state = {
    nowMs: 0,
    read: async (): Promise<ReturnType<typeof placesWith>> => assert.fail('the database is away'),
    unresolved: new Set<string>(),
  };
  const resolve = async (host: string) => {
    if (state.unresolved.has(host)) throw new Error(`${host} is not found`);
    return [host];
  };
  const own = createOwnEndpoints(
    initial,
    () => state.read(),
    resolve,
    () => state.nowMs,
  );
  const protectedNow = async () => (await own()).map(({ address, port }) => `${address}:${port}`).sort();
  const minuteLater = async () => {
    state.nowMs += 60_000;
    await own();
    await new Promise((resolved) => setImmediate(resolved));
  };
  return { state, protectedNow, minuteLater };
}

test('where the first look fails, what is known without it is protected', async () => {
  const { state, protectedNow, minuteLater } = ownEndpoints(placesWith('first.example'));
  assert.deepEqual(await protectedNow(), [database, 'first.example:7000', edge]);
  state.read = async () => placesWith('further.example');
  await minuteLater();
  assert.deepEqual(await protectedNow(), [database, 'further.example:7000', edge]);
});

test('where a later look fails, or a name is not resolved, what was found before stays protected', async () => {
  const { state, protectedNow, minuteLater } = ownEndpoints(placesWith('first.example'));
  state.read = async () => placesWith('first.example', 'further.example');
  const found = [database, 'first.example:7000', 'further.example:7000', edge];
  assert.deepEqual(await protectedNow(), found);
  state.read = async () => assert.fail('the database is away');
  state.unresolved.add('further.example');
  await minuteLater();
  assert.deepEqual(await protectedNow(), found);
});

test('a name that was never resolved is protected as a name, and resolved again within seconds', async () => {
  const { state, protectedNow } = ownEndpoints(placesWith('First.example.'));
  state.unresolved.add('First.example.');
  assert.deepEqual(await protectedNow(), [database, 'first.example:7000', edge]);
  state.unresolved.clear();
  state.nowMs += 2000;
  await protectedNow();
  await new Promise((resolved) => setImmediate(resolved));
  assert.deepEqual(await protectedNow(), [database, 'First.example.:7000', edge].sort());
});
