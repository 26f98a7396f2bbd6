import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { seedDomain } from '../devices/device-fixture.ts';
import { writeSetting } from '../domain/settings.ts';
import { advisoryLock, lockClass } from './advisory-locks.ts';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { administrationTransaction } from './release-lock.ts';
import { untilOneWaits, watched } from './waiting-fixture.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
const fence = openDatabase(url, { applicationName: 'fence', max: 1 });
after(async () => await Promise.all([db.end(), fence.end()]));
await seedDomain(db, '1.0.0');
beforeEach(async () => {
  await db`delete from setting`;
  await db`update domain set release = '1.0.0'`;
});

const limited = { timeout: 20_000 };
const takeFence = () => fence`select pg_advisory_lock(${lockClass}, ${advisoryLock.administration})`;
const leaveFence = () => fence`select pg_advisory_unlock(${lockClass}, ${advisoryLock.administration})`;
async function keys(): Promise<string[]> {
  return (await db<{ key: string }[]>`select key from setting order by key`).map((row) => row.key);
}

test('a database without a domain takes no administration', limited, async () => {
  const empty = openDatabase((await createTestDatabase()).url, { applicationName: 'test', max: 1 });
  const writing = administrationTransaction(empty, '1.0.0', (tx) => writeSetting(tx, 'none', {}));
  await assert.rejects(writing, { code: 'ERR_RELEASE_FENCED', details: { domain: null, own: '1.0.0' } });
  await empty.end();
});

test('an administration service of the domain’s release writes', limited, async () => {
  assert.equal(
    await administrationTransaction(db, '1.0.0', async (tx) => {
      await writeSetting(tx, 'own', {});
      return 'result';
    }),
    'result',
  );
  assert.deepEqual(await keys(), ['own']);
});

test('one of another release writes nothing, and does not even begin', limited, async () => {
  for (const release of ['0.9.0', '1.0.1', '1.1.0']) {
    const writing = administrationTransaction(db, release, async () => assert.fail('it is fenced'));
    await assert.rejects(writing, { code: 'ERR_RELEASE_FENCED', details: { domain: '1.0.0', own: release } });
  }
});

test('administration transactions do not wait for each other', limited, async () => {
  const both = Promise.withResolvers<void>();
  let inside = 0;
  const work = async () => {
    inside++;
    if (inside === 2) both.resolve();
    await both.promise;
  };
  await Promise.all([1, 2].map(() => administrationTransaction(db, '1.0.0', work)));
});

test('the fence waits for a transaction under way, whose writes stand before it', limited, async () => {
  const fencing = await administrationTransaction(db, '1.0.0', async (tx) => {
    const taking = watched(takeFence().then((rows) => rows.length));
    assert.ok(await untilOneWaits(db, taking.settled, 'fence'));
    await writeSetting(tx, 'before', {});
    return taking;
  });
  await fencing.result;
  assert.deepEqual(await keys(), ['before']);
  await leaveFence();
});

test('a transaction that waited for the fence sees the release that was set behind it', limited, async () => {
  await takeFence();
  const waiting = watched(administrationTransaction(db, '1.0.0', (tx) => writeSetting(tx, 'stale', {})));
  assert.ok(await untilOneWaits(db, waiting.settled));
  await fence`update domain set release = '1.1.0'`;
  await leaveFence();
  await assert.rejects(waiting.result, { code: 'ERR_RELEASE_FENCED' });
  await administrationTransaction(db, '1.1.0', (tx) => writeSetting(tx, 'upgraded', {}));
  assert.deepEqual(await keys(), ['upgraded']);
});

test('a fence whose holder died lets administration go on', limited, async () => {
  const dying = openDatabase(url, { applicationName: 'dying', max: 1 });
  await dying`select pg_advisory_lock(${lockClass}, ${advisoryLock.administration})`;
  const waiting = watched(administrationTransaction(db, '1.0.0', async () => 'went on'));
  assert.ok(await untilOneWaits(db, waiting.settled));
  await db`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dying'`;
  assert.equal(await waiting.result, 'went on');
  await dying.end({ timeout: 1 });
});
