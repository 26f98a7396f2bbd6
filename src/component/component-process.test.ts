/** The life of a component as a process of its own, and its state in the database. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { insertDomain } from '../domain/domain.ts';
import { declareRange, listComponents } from '../registry/components.ts';
import { thisRelease } from '../release/this-release.ts';
import { until } from '../testing/condition.ts';

test('a component tells beside its lease whether devices reach it, as it tells its supervisor', {
  timeout: 90_000,
}, async (t) => {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
  const home = await mkdtemp(path.join(os.tmpdir(), 'bramble-home-'));
  const { release, schemaVersion } = thisRelease;
  await insertDomain(db, {
    ...{ domainId: randomUUID(), name: 'Example', publicUrl: 'https://127.0.0.1:8443', tunnelHost: 'tunnel.test' },
    ...{ wakeChannel: 'topic', release, schemaVersion },
  });
  await declareRange(db, release);
  const child = fork(path.join(import.meta.dirname, 'component-fixture.ts'), {
    env: { ...process.env, BRAMBLE_HOME: home, BRAMBLE_COMPONENT: 'east', DATABASE_URL: url },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  const told = async () => (await listComponents(db)).find(({ name }) => name === 'east')?.detail['serving'];
  await until('it tells that nobody reaches it', 30_000, async () => (await told()) === false);
  child.send('serve');
  await until('it tells that devices reach it', 30_000, async () => (await told()) === true);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
