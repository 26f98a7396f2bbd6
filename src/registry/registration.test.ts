import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import type { Clock } from '../base/clock.ts';
import type { BrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { insertDomain } from '../domain/domain.ts';
import { silentLogger } from '../process/log/logger.ts';
import { until } from '../testing/condition.ts';
import { type ComponentIdentity, listComponents, markStopped, registerComponent } from './components.ts';
import { registerAndKeep } from './registration.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 4 });
after(async () => {
  await db.end({ timeout: 5 });
});
await insertDomain(db, {
  domainId: randomUUID(),
  name: 'Example',
  publicUrl: 'https://127.0.0.1:8443',
  tunnelHost: 'tunnel.test',
  wakeChannel: 'topic',
  release: '1.0.0',
  schemaVersion: 6,
});

const compatibility = { leastSchemaVersion: 6 };
function identity(name: string, change: Partial<ComponentIdentity> = {}): ComponentIdentity {
  return {
    name,
    kind: 'administration',
    host: 'here',
    bootId: 'boot',
    processId: 1,
    release: '1.0.0',
    linkVersions: [1],
    features: [],
    loopbackUrl: null,
    ...change,
  };
}

/** Sleeps until told to go on. */
function steppingClock(): Clock & { step(): void; now(): number; advance(ms: number): void } {
  let wake: () => void = () => {};
  let now = 0;
  return {
    now: () => now,
    advance: (ms) => {
      now += ms;
    },
    step: () => wake(),
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) reject(signal.reason);
        wake = resolve;
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
}

const find = async (name: string) => (await listComponents(db)).find((component) => component.name === name);

test('one that is succeeded goes on beside its successor, and takes its name back when that one fails', async () => {
  const clock = steppingClock();
  const looked = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const gone: string[] = [];
  const registration = await registerAndKeep({
    ...{ db, component: identity('succeeded', { kind: 'server' }), compatibility, log: silentLogger, clock },
    onGone: ({ code }) => gone.push(code),
    isSucceeded: () => true,
  });
  const successor = (processId: number) => identity('succeeded', { kind: 'server', processId, release: '1.0.1' });
  await registerComponent(db, successor(2), compatibility);
  clock.step();
  await looked();
  assert.equal((await find('succeeded'))?.processId, 2);
  await markStopped(db, successor(2));
  await until('it has its name again', 30_000, async () => {
    clock.step();
    return (await find('succeeded'))?.processId === 1;
  });
  assert.equal(registration.readiness(), null);
  await registerComponent(db, successor(3), compatibility);
  await until('nobody has ended it for too long', 60_000, async () => {
    clock.step();
    await looked();
    clock.advance(1000);
    return gone.length > 0;
  });
  assert.deepEqual(gone, ['ERR_COMPONENT_GONE']);
  await registration.stop();
  assert.equal((await find('succeeded'))?.processId, 3);
});

test('a component is registered, renewed with its detail, and marked as stopped at the end', async () => {
  const clock = steppingClock();
  const renewed = Promise.withResolvers<void>();
  const registration = await registerAndKeep({
    db,
    component: identity('kept'),
    compatibility,
    log: silentLogger,
    clock,
    onGone: (error) => assert.fail(error),
    detail: () => {
      setImmediate(renewed.resolve);
      return { tunnelsOpen: 2 };
    },
  });
  assert.equal((await find('kept'))?.alive, true);
  clock.step();
  await renewed.promise;
  await registration.stop();
  const stopped = await find('kept');
  assert.equal(stopped?.alive, false);
  assert.notEqual(stopped?.stoppedAt, null);
  assert.deepEqual(stopped?.detail, { tunnelsOpen: 2, clockAheadMs: 0 });
});

test('a component whose name another process took over is told once, and leaves its registration alone', async () => {
  const clock = steppingClock();
  const gone = Promise.withResolvers<BrambleError>();
  const registration = await registerAndKeep({
    db,
    component: identity('taken'),
    compatibility,
    log: silentLogger,
    clock,
    onGone: gone.resolve,
  });
  await registerComponent(db, identity('taken', { processId: 2 }), compatibility);
  clock.step();
  assert.equal((await gone.promise).code, 'ERR_COMPONENT_GONE');
  assert.notEqual(registration.readiness(), null);
  await registration.stop();
  assert.equal((await find('taken'))?.alive, true);
});

test('an administration service that the domain’s release left behind is told so', async () => {
  const clock = steppingClock();
  const gone = Promise.withResolvers<BrambleError>();
  const registration = await registerAndKeep({
    db,
    component: identity('left-behind'),
    compatibility,
    log: silentLogger,
    clock,
    onGone: gone.resolve,
  });
  await db`update domain set release = '1.1.0'`;
  clock.step();
  assert.equal((await gone.promise).code, 'ERR_RELEASE_MISMATCH');
  await registration.stop();
  await assert.rejects(
    registerAndKeep({ db, component: identity('x'), compatibility, log: silentLogger, onGone: () => {} }),
    { code: 'ERR_RELEASE_MISMATCH' },
  );
  await db`update domain set release = '1.0.0'`;
});

test('a component of the next release waits for its schema; the coordinator, which makes it, does not', async () => {
  const options = { db, compatibility: { leastSchemaVersion: 7 }, log: silentLogger, onGone: () => {} };
  const next = (name: string, kind: ComponentIdentity['kind']) => identity(name, { kind, release: '1.1.0' });
  await assert.rejects(registerAndKeep({ ...options, component: next('server-1-1', 'server') }), {
    code: 'ERR_SCHEMA_TOO_OLD',
  });
  const coordinator = await registerAndKeep({ ...options, component: next('coordinator', 'coordinator') });
  await coordinator.stop();
});

test('a live process on another host keeps its name; a restart on the same host takes it at once', async () => {
  const options = { db, compatibility, log: silentLogger, onGone: () => {} };
  const first = await registerAndKeep({ ...options, component: identity('rival') });
  await assert.rejects(registerAndKeep({ ...options, component: identity('rival', { host: 'there' }) }), {
    code: 'ERR_COMPONENT_NAME_TAKEN',
  });
  const second = await registerAndKeep({ ...options, component: identity('rival', { processId: 9 }) });
  await first.stop();
  await second.stop();
});

test('readiness says so when the lease has run out by what the process knows', async () => {
  const clock = steppingClock();
  const registration = await registerAndKeep({
    db,
    component: identity('late'),
    compatibility,
    log: silentLogger,
    clock,
    onGone: () => {},
  });
  assert.equal(registration.readiness(), null);
  clock.advance(10_001);
  assert.match(registration.readiness() ?? '', /lease/);
  await registration.stop();
});

test('a component that ends because its work failed says so with its goodbye; one that was asked to end does not', async () => {
  const keep = (name: string) =>
    registerAndKeep({
      ...{ db, component: identity(name, { kind: 'server' }), compatibility, log: silentLogger },
      ...{ clock: steppingClock(), onGone: () => undefined },
    });
  await (await keep('asked')).stop();
  await (await keep('failed')).stop('its key is gone');
  const rows = await db`select name, cause, reason from component_interruption where name in ('asked', 'failed')`;
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [{ name: 'failed', cause: 'failure', reason: 'its key is gone' }],
  );
  const [component] = await db`select stopped_at is not null as stopped from component where name = 'failed'`;
  assert.equal(component?.['stopped'], true);
});
