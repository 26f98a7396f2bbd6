/** What the trigger on `component` makes of goodbyes, missing ones and leases that ran out. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { readUnplannedRestarts } from './component-interruptions.ts';
import { type ComponentIdentity, markStopped, registerComponent, renewLease } from './components.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'test', max: 2 });
after(async () => await db.end({ timeout: 5 }));
await seedDomain(db);
const compatibility = { leastSchemaVersion: 1 };

const process = (name: string, processId: number, change: Partial<ComponentIdentity> = {}): ComponentIdentity => ({
  name,
  kind: 'server',
  host: 'host',
  bootId: 'boot',
  processId,
  release: '1.2.0',
  linkVersions: [1],
  features: [],
  loopbackUrl: null,
  ...change,
});
const start = (component: ComponentIdentity) => registerComponent(db, component, compatibility);
const letLeaseRunOut = (name: string) =>
  db`update component set lease_until = clock_timestamp() - interval '1 second' where name = ${name}`;
const seen = async (names: readonly string[], since = new Date(0)) =>
  (await readUnplannedRestarts(db, { names, since })).map(({ name, cause }) => `${name} ${cause}`);

test('a process that ended without a goodbye is an exit, one that said it is none', async () => {
  await start(process('here', 1));
  await start(process('here', 1));
  assert.deepEqual(await seen(['here']), [], 'the same process again');
  await start(process('here', 2));
  assert.deepEqual(await seen(['here']), ['here exit']);
  await markStopped(db, process('here', 2));
  await start(process('here', 3));
  await start(process('here', 4, { release: '1.2.1' }));
  assert.deepEqual(
    await seen(['here']),
    ['here exit'],
    'neither after a goodbye, nor where another release takes over',
  );
  await start(process('here', 4, { release: '1.2.1', bootId: 'next boot' }));
  assert.deepEqual(await seen(['here', 'there']), ['here exit', 'here exit']);
  assert.deepEqual(await seen(['there']), []);
});

test('a lease that ran out counts at once as an exit, and as a lost lease once the same process renews it', async () => {
  const hung = process('there', 1);
  await start(hung);
  await letLeaseRunOut('there');
  assert.deepEqual(await seen(['there']), ['there exit']);
  assert.equal(await renewLease(db, hung, compatibility), 'renewed');
  assert.deepEqual(await seen(['there']), ['there lease']);
  assert.equal(await renewLease(db, hung, compatibility), 'renewed');
  assert.deepEqual(await seen(['there']), ['there lease']);

  await letLeaseRunOut('there');
  await start(process('there', 2));
  assert.deepEqual(await seen(['there']), ['there lease', 'there exit']);
  assert.deepEqual(
    await seen(['there'], new Date(Date.now() + 3_600_000)),
    [],
    'none of them after the time asked for',
  );
});

test('routers, which others register, and statements of 1.1 that only renew are no interruptions', async () => {
  await start(process('router', 1, { kind: 'router' }));
  await start(process('router', 2, { kind: 'router' }));
  await db`update component set detail = '{}' where name = 'here'`;
  assert.equal((await db`select 1 from component_interruption where name = 'router'`).length, 0);
});
