import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isBrambleError } from '../../base/errors.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { setDomainRelease } from '../../domain/domain-changes.ts';
import { recordEvent } from '../../domain/events.ts';
import { exitWithin } from '../../testing/process.ts';
import { insertTestDomain } from '../steps/domain-fixture.ts';
import { fenceRelease, listLockHolders } from './release-fence.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db);

const standAt = (release: string) => db.begin((tx) => setDomainRelease(tx, release));
beforeEach(async () => void (await standAt('1.0.0')));

const release = async () => (await db<{ release: string }[]>`select release from domain`)[0]?.release;
const lateWrites = async () => (await db`select 1 from event where kind = 'late-write'`).length;

test('a stopped administration service with an open transaction cannot commit after the fence, once let go on', async () => {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('release-fence-fixture.ts', import.meta.url)), database.url],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'open');
  child.kill('SIGSTOP');

  const fence = await fenceRelease(db, { graceMs: 300 }, async (tx, result) => {
    await setDomainRelease(tx, '1.1.0');
    return result;
  });
  assert.equal(fence.ended.length, 1);
  assert.match(fence.ended[0]?.applicationName ?? '', /^bramble\/administration\/stopped@elsewhere#\d+$/);
  assert.equal(await release(), '1.1.0');

  child.kill('SIGCONT');
  child.stdin.write('go on\n');
  assert.match(String((await lines.next()).value), /^refused/);
  await exitWithin(child, 60_000, 'the stopped administration service');
  assert.equal(await lateWrites(), 0);
});

test('after the fence an administration service of the release before is refused, and one of the new release works', async () => {
  await standAt('1.1.0');
  await assert.rejects(
    administrationTransaction(db, '1.0.0', (tx) => recordEvent(tx, { kind: 'late-write', message: '' })),
    (error) => isBrambleError(error, 'ERR_RELEASE_FENCED'),
  );
  await administrationTransaction(db, '1.1.0', (tx) => recordEvent(tx, { kind: 'write', message: '' }));
  assert.equal(await lateWrites(), 0);
});

test('the fence goes the other way round as well, and waits for a transaction that ends in the grace period', async () => {
  await standAt('1.1.0');
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: finish, resolve: end } = Promise.withResolvers<void>();
  const write = administrationTransaction(db, '1.1.0', async (tx) => {
    await recordEvent(tx, { kind: 'finished-write', message: '' });
    open();
    await finish;
  });
  await opened;
  assert.equal((await listLockHolders(db)).length, 1);
  const fenced = fenceRelease(db, { graceMs: 60_000 }, async (tx, result) => {
    await setDomainRelease(tx, '1.0.0');
    return result;
  });
  end();
  await write;
  const result = await fenced;
  assert.deepEqual(result.ended, []);
  assert.equal(await release(), '1.0.0');
  assert.equal((await db`select 1 from event where kind = 'finished-write'`).length, 1);
});

test('a failure under the fence changes nothing', async () => {
  await assert.rejects(
    fenceRelease(db, { graceMs: 0 }, async (tx) => {
      await setDomainRelease(tx, '9.9.9');
      throw new Error('no');
    }),
    /no/,
  );
  assert.equal(await release(), '1.0.0');
});

test('a session that the coordinator’s role may not end blocks the fence, and is named', async () => {
  const role = `${database.name}_fence`;
  await db.unsafe(`create role ${role} login password 'narrow' in role pg_signal_backend, pg_read_all_stats`);
  const url = Object.assign(new URL(database.url), { username: role, password: 'narrow' });
  const narrow = openDatabase(url.href, { applicationName: 'bramble/coordinator', max: 2 });
  const blocking = openDatabase(database.url, { applicationName: 'bramble/administration/superuser', max: 1 });
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const { promise: finish, resolve: end } = Promise.withResolvers<void>();
  const write = administrationTransaction(blocking, '1.0.0', async () => {
    open();
    await finish;
  });
  try {
    await opened;
    await assert.rejects(
      fenceRelease(narrow, { graceMs: 0, timeoutMs: 500 }, async () => assert.fail('the lock is held')),
      (error) => {
        if (!isBrambleError(error, 'ERR_RELEASE_FENCE_BLOCKED')) throw error;
        assert.deepEqual(error.details, { holders: ['bramble/administration/superuser'] });
        return true;
      },
    );
  } finally {
    end();
    await write;
    await Promise.all([narrow.end({ timeout: 5 }), blocking.end({ timeout: 5 })]);
    await db.unsafe(`drop role ${role}`);
  }
});
