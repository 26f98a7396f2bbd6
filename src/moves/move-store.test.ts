import assert from 'node:assert/strict';
import { after, beforeEach, type TestContext, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { until } from '../testing/condition.ts';
import {
  cancelMoveBatch,
  createMoveBatch,
  listMoveBatches,
  moveBatchStatus,
  pauseMoveBatch,
  resumeMoveBatch,
} from './batch-store.ts';
import { type MoveRunnerOptions, moveAccount, runMoves } from './move-runner.ts';
import {
  cancelMoveElsewhere,
  commitMove,
  countUndrained,
  fenceMove,
  markOutOfReach,
  reserveMoves,
  settleMoves,
  unfenceMove,
} from './move-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());
beforeEach(async () => {
  await db`delete from account_move`;
  await db`delete from move_batch`;
});

const limited = { timeout: 60_000 };
const options: MoveRunnerOptions = {
  ...{ db, release: '1.0.0', name: 'test-runner', log: { info: () => {}, warn: () => {} } },
  oweDeliveries: async () => {},
  drainWindow: async () => 100,
};

/** A runner that ends with its test, whatever becomes of that. */
function startRunner(t: TestContext, more: Partial<MoveRunnerOptions> = {}): { end(): Promise<void> } {
  const ending = new AbortController();
  const running = runMoves({ ...options, ...more, signal: ending.signal });
  running.catch(() => undefined);
  const end = async () => {
    ending.abort();
    await running;
  };
  t.after(end);
  return { end };
}

const start = (devices: readonly DeviceFixture[]) =>
  db.begin((tx) =>
    createMoveBatch(tx, {
      purpose: 'manual',
      createdBy: 'test',
      moves: devices.map(({ accountId }) => ({ accountId, toInstanceId: there })),
    }),
  );

async function reservedMove(device: DeviceFixture) {
  await start([device]);
  const [move] = await db.begin((tx) => reserveMoves(tx, 'test-runner', 1));
  assert.ok(move);
  return move;
}

async function moveOf(device: DeviceFixture) {
  const [move] = await db`
    select state, failure, out_of_reach, pending_commands, retry_at from account_move where account_id = ${device.accountId}`;
  assert.ok(move);
  return move;
}

const marks = async (device: DeviceFixture) =>
  (await db`select 1 from account_mark where account_id = ${device.accountId}`).length;

/** A moved account with one delivery of the move that its device has not answered. */
async function deliveringMove(name: string) {
  const device = await seedDevice(db, here, name);
  const move = await reservedMove(device);
  await moveAccount(
    {
      ...options,
      oweDeliveries: async (tx) => {
        await tx`
        insert into delivery (id, account_id, device_id, item, cause, move_id, budgeted, state)
        values (gen_random_uuid(), ${device.accountId}, ${device.deviceId}, 'it-policy', 'move', ${move.moveId}, true, 'released')`;
      },
    },
    move,
  );
  return { device, move };
}

test('rival runners never reserve the same move', limited, async () => {
  const devices = await Promise.all(Array.from({ length: 12 }, (_, n) => seedDevice(db, here, `rival-${n}`)));
  await start(devices);
  const reserved = await Promise.all(
    Array.from({ length: 6 }, (_, n) => db.begin((tx) => reserveMoves(tx, `runner-${n}`, 3))),
  );
  const ids = reserved.flat().map(({ moveId }) => moveId);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(ids.length, 12);
});

test('an account that was moved elsewhere meanwhile cancels its move, and no mark stays', limited, async () => {
  const device = await seedDevice(db, here, 'elsewhere');
  const move = await reservedMove(device);
  await db.begin((tx) => fenceMove(tx, move));
  assert.equal(await marks(device), 1);
  await db`update account set instance_id = ${there} where id = ${device.accountId}`;
  assert.deepEqual(await db.begin((tx) => commitMove(tx, move)), { kind: 'account-elsewhere' });
  await db.begin((tx) => cancelMoveElsewhere(tx, move));
  assert.deepEqual([(await moveOf(device))['state'], await marks(device)], ['cancelled', 0]);
});

test('what is owed is of one transaction with the change of owner', limited, async () => {
  const device = await seedDevice(db, here, 'together');
  await seedCommand(db, device);
  const move = await reservedMove(device);
  const failing = { ...options, oweDeliveries: async () => Promise.reject(new RangeError('nothing owed')) };
  assert.equal(await moveAccount(failing, move), false);
  const [account] = await db`select instance_id, epoch::int from account where id = ${device.accountId}`;
  assert.deepEqual([account?.['instance_id'], account?.['epoch']], [here, 1]);
  const queued = await moveOf(device);
  assert.deepEqual([queued['state'], queued['failure'], await marks(device)], ['queued', 'nothing owed', 0]);
  assert.ok(queued['retry_at'] !== null, 'not at once again');
});

test('a move that failed too often is rolled back for good', limited, async () => {
  const device = await seedDevice(db, here, 'often');
  const move = await reservedMove(device);
  await db.begin((tx) => fenceMove(tx, move));
  assert.equal(await db.begin((tx) => unfenceMove(tx, { ...move, attempts: 3 }, 'blocked', 3)), 'rolled-back');
  assert.deepEqual([(await moveOf(device))['state'], await marks(device)], ['rolled-back', 0]);
  assert.equal((await start([device])).queued, 1, 'it may be moved again');
});

test(
  'a batch is cancelled as far as it has not been committed, and paused and resumed only where it can be',
  limited,
  async () => {
    const [fenced, queued] = [await seedDevice(db, here, 'cancel-1'), await seedDevice(db, here, 'cancel-2')];
    const move = await reservedMove(fenced);
    await db.begin((tx) => fenceMove(tx, move));
    const second = await start([queued]);
    assert.equal(await db.begin((tx) => pauseMoveBatch(tx, second.batchId, 'by hand')), true);
    assert.equal(await db.begin((tx) => pauseMoveBatch(tx, second.batchId, 'again')), false);
    const paused = await moveBatchStatus(db, second.batchId);
    assert.ok(paused !== 'not-found');
    assert.deepEqual([paused.state, paused.pauseReason, paused.counts.queued], ['paused', 'by hand', 1]);
    assert.equal(await db.begin((tx) => resumeMoveBatch(tx, second.batchId)), true);
    assert.equal(await db.begin((tx) => resumeMoveBatch(tx, second.batchId)), false);
    await db.begin((tx) => cancelMoveBatch(tx, move.batchId));
    assert.deepEqual([(await moveOf(fenced))['state'], await marks(fenced)], ['cancelled', 0]);
    assert.deepEqual(await db.begin((tx) => commitMove(tx, move)), { kind: 'lost-reservation' });
    assert.equal((await moveOf(queued))['state'], 'queued');
    assert.equal((await listMoveBatches(db, { sort: '-createdAt', limit: 10, within: null })).rows.length, 2);
    assert.equal(await moveBatchStatus(db, crypto.randomUUID()), 'not-found');
  },
);

test('a paused batch whose moves are cancelled is done, at the latest with its last answer', limited, async () => {
  const stateOf = async (batchId: string) => {
    const batch = await moveBatchStatus(db, batchId);
    return batch === 'not-found' ? batch : [batch.state, batch.pauseReason];
  };
  const cancelPaused = async (batchId: string) => {
    assert.ok(await db.begin((tx) => pauseMoveBatch(tx, batchId, 'by hand')));
    await db.begin((tx) => cancelMoveBatch(tx, batchId));
  };
  const queued = await start([await seedDevice(db, here, 'cancel-paused')]);
  await cancelPaused(queued.batchId);
  assert.deepEqual(await stateOf(queued.batchId), ['done', null]);

  const { move } = await deliveringMove('cancel-delivering');
  await cancelPaused(move.batchId);
  assert.deepEqual(await stateOf(move.batchId), ['running', null]);
  await db`update delivery set state = 'done' where move_id = ${move.moveId}`;
  await db.begin((tx) => settleMoves(tx));
  assert.deepEqual(await stateOf(move.batchId), ['done', null]);
});

test('a move is undrained until its device answers, and settled however it answers', limited, async () => {
  for (const state of ['done', 'failed', 'superseded']) {
    const { device, move } = await deliveringMove(`settle-${state}`);
    assert.equal(await countUndrained(db, 100), 1);
    assert.equal(await db.begin((tx) => settleMoves(tx)), 0);
    await db`update delivery set state = ${state} where move_id = ${move.moveId}`;
    assert.equal(await countUndrained(db, 100), 0);
    assert.equal(await db.begin((tx) => settleMoves(tx)), 1);
    assert.equal((await moveOf(device))['state'], 'closed');
    const batch = await moveBatchStatus(db, move.batchId);
    assert.equal(batch !== 'not-found' && batch.state, 'done');
  }
});

test(
  'an account whose devices do not come is out of reach, holds nobody up, and comes back with its device',
  limited,
  async () => {
    const { device, move } = await deliveringMove('silent');
    await db`update device set push_token = '\\x01', push_magic = 'magic' where id = ${device.deviceId}`;
    await db.begin((tx) => markOutOfReach(tx, 30));
    assert.equal((await moveOf(device))['out_of_reach'], false, 'not before its time');
    await db`update account_move set committed_at = now() - interval '31 seconds' where id = ${move.moveId}`;
    await db.begin((tx) => markOutOfReach(tx, 30));
    assert.equal((await moveOf(device))['out_of_reach'], true);
    assert.equal(await countUndrained(db, 100), 0);
    const batch = await moveBatchStatus(db, move.batchId);
    assert.equal(batch !== 'not-found' && batch.counts.outOfReach, 1);
    await db`update device set last_seen_at = now() where id = ${device.deviceId}`;
    await db.begin((tx) => markOutOfReach(tx, 30));
    assert.deepEqual([(await moveOf(device))['out_of_reach'], await countUndrained(db, 100)], [false, 1]);
  },
);

test('an account is out of reach at once whose devices cannot be woken and have not come', limited, async () => {
  const { device, move } = await deliveringMove('unwakeable');
  const outOfReach = async (scope: 'awaited' | 'all') => {
    await db.begin((tx) => markOutOfReach(tx, 30, scope));
    return (await moveOf(device))['out_of_reach'];
  };
  await db`update device set last_seen_at = now() where id = ${device.deviceId}`;
  assert.equal(await outOfReach('all'), false, 'it came by itself');
  await db`update device set last_seen_at = now() - interval '1 hour' where id = ${device.deviceId}`;
  assert.equal(await outOfReach('awaited'), true);
  assert.equal(await db.begin((tx) => settleMoves(tx, 'awaited')), 0);
  await db`update delivery set state = 'failed' where move_id = ${move.moveId}`;
  assert.equal(await db.begin((tx) => settleMoves(tx, 'awaited')), 0, 'looked at when all are');
  assert.equal(await db.begin((tx) => settleMoves(tx, 'all')), 1);
});

test('a move that is owed no answer any more is settled at once, and not out of reach', limited, async () => {
  const { device, move } = await deliveringMove('answered');
  await db`update delivery set state = 'done' where move_id = ${move.moveId}`;
  await db.begin((tx) => markOutOfReach(tx, 30, 'awaited'));
  assert.equal((await moveOf(device))['out_of_reach'], false);
  assert.equal(await db.begin((tx) => settleMoves(tx, 'awaited')), 1);
});

test('a runner sees that the last account out of reach has come, without anybody saying so', limited, async (t) => {
  const { device, move } = await deliveringMove('late');
  startRunner(t);
  await until('it is out of reach', 20_000, async () => (await moveOf(device))['out_of_reach'] === true);
  await db`update delivery set state = 'done' where move_id = ${move.moveId}`;
  await until('its move is closed', 20_000, async () => (await moveOf(device))['state'] === 'closed');
});

test('a move that failed is tried again when its time has come, without anybody saying so', limited, async (t) => {
  const device = await seedDevice(db, here, 'again');
  await start([device]);
  let tries = 0;
  let announced = 0;
  startRunner(t, {
    announce: async () => {
      announced += 1;
    },
    oweDeliveries: async () => {
      tries += 1;
      if (tries === 1) throw new Error('once');
      announced = 0;
    },
  });
  // Sooner than a runner that has nothing to do looks again.
  await until('it has moved', 20_000, async () =>
    ['delivering', 'closed'].includes(String((await moveOf(device))['state'])),
  );
  assert.equal(tries, 2);
  await until('those who deliver know of it', 20_000, async () => announced > 0);
});

test('a sleeping runner is woken by what is queued, and ends when it is told to', limited, async (t) => {
  const [asleep, moved] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { end } = startRunner(t, {
    intervalMs: 3_600_000,
    drainWindow: async () => {
      asleep.resolve();
      return 100;
    },
    oweDeliveries: async () => moved.resolve(),
  });
  await asleep.promise;
  await start([await seedDevice(db, here, 'woken')]);
  await moved.promise;
  await end();
});

test('a runner ends by itself when the domain’s release leaves it behind', limited, async () => {
  const { signal } = new AbortController();
  await assert.rejects(runMoves({ ...options, release: '0.9.0', signal }), { code: 'ERR_RELEASE_FENCED' });
});
