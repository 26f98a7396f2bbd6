import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase, type Transaction } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { inTime, until } from '../testing/condition.ts';
import { createMoveBatch, moveBatchBack, moveBatchStatus, pauseMoveBatch, resumeMoveBatch } from './batch-store.ts';
import { runMoveRound } from './move-round-fixture.ts';
import { type MoveRunnerOptions, moveAccount, runMoves } from './move-runner.ts';
import { commitMove, fenceMove, reserveMoves } from './move-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());

const options: MoveRunnerOptions = {
  db,
  release: '1.0.0',
  name: 'test-runner',
  oweDeliveries: async () => {},
  log: { info: () => {}, warn: () => {} },
  drainWindow: async () => 100,
};

async function start(devices: readonly DeviceFixture[]) {
  return await db.begin((tx) =>
    createMoveBatch(tx, {
      purpose: 'manual',
      createdBy: 'test',
      moves: devices.map((device) => ({ accountId: device.accountId, toInstanceId: there })),
    }),
  );
}

async function ownerOf(device: DeviceFixture) {
  const [row] = await db`select instance_id, epoch::int as epoch from account where id = ${device.accountId}`;
  return { instanceId: row?.['instance_id'], epoch: row?.['epoch'] };
}

async function stateOf(device: DeviceFixture) {
  const [row] = await db`select state from account_move where account_id = ${device.accountId} order by queued_at desc`;
  return row?.['state'];
}

function idle(device: DeviceFixture) {
  const { token, fingerprint, enrolment } = device;
  const nothing = { commandId: null, answer: null, inventory: null, options: null };
  return { token, fingerprint, enrolment, overTls: true, status: 'idle' as const, ...nothing };
}

test('a move changes the owner, raises the epoch and carries the queue', async () => {
  const device = await seedDevice(db, here, 'm1');
  const { commandId } = await seedCommand(db, device);
  await connectDevices(db, here, [idle(device)]);
  assert.equal((await runMoveRound(options)).quiet, true, 'there is nothing to move');
  const { batchId, queued } = await start([device]);
  assert.equal(queued, 1);
  assert.equal((await runMoveRound(options)).quiet, false);
  assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
  const answered = { ...idle(device), status: 'done' as const, commandId, answer: {} };
  const [outcome] = await connectDevices(db, there, [answered]);
  assert.equal(outcome?.kind, 'served');
  const [command] = await db`select state, sent_epoch::int, answered_epoch::int from command where id = ${commandId}`;
  assert.deepEqual({ ...command }, { state: 'acknowledged', sent_epoch: 1, answered_epoch: 2 });
  assert.equal((await runMoveRound(options)).quiet, false, 'it settled a move');
  assert.equal((await runMoveRound(options)).quiet, true);
  const status = await moveBatchStatus(db, batchId);
  assert.ok(status !== 'not-found');
  assert.equal(status.state, 'done');
  assert.equal(status.counts.closed, 1);
});

test('accounts that cannot be moved are named with the reason', async () => {
  const [moving, already] = [await seedDevice(db, here, 's1'), await seedDevice(db, there, 's2')];
  const first = await start([moving]);
  const second = await start([moving, already, { ...moving, accountId: crypto.randomUUID() as never }]);
  assert.equal(second.queued, 0);
  assert.deepEqual(second.skipped.map((skip) => skip.reason).sort(), ['already-moving', 'already-there', 'not-found']);
  await db`update account_move set state = 'cancelled' where batch_id = ${first.batchId}`;
});

test('a paused batch starts nothing new, not even what was reserved, and goes on when resumed', async () => {
  const device = await seedDevice(db, here, 'p1');
  const { batchId } = await start([device]);
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'test-runner', 10));
  assert.ok(reserved);
  await db.begin((tx) => pauseMoveBatch(tx, batchId, 'by hand'));
  assert.equal(await moveAccount(options, reserved), false);
  assert.equal(await stateOf(device), 'queued');
  await runMoveRound(options);
  assert.deepEqual(await ownerOf(device), { instanceId: here, epoch: 1 });
  await db.begin((tx) => resumeMoveBatch(tx, batchId));
  await runMoveRound(options);
  assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
});

test('a runner that died between mark and commit leaves a move that another one finishes', async () => {
  const device = await seedDevice(db, here, 'd1');
  await start([device]);
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'dead-runner', 10));
  assert.ok(reserved);
  await db.begin((tx) => fenceMove(tx, reserved));
  await runMoveRound(options);
  assert.equal(await stateOf(device), 'fenced', 'the reservation still holds');
  await db`update account_move set reserved_until = now() - interval '1 second' where id = ${reserved.moveId}`;
  await runMoveRound(options);
  assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
  const late = await db.begin((tx) => commitMove(tx, reserved));
  assert.deepEqual(late, { kind: 'lost-reservation' }, 'the dead one coming back moves nothing again');
});

test('a writer that does not let go makes the move fail, be unfenced, and be tried again', async () => {
  const device = await seedDevice(db, here, 'w1');
  await start([device]);
  await db.begin(async (writer) => {
    await writer`select 1 from account where id = ${device.accountId} for share`;
    const round = await runMoveRound(options);
    assert.equal(round.moved, 0);
  });
  const [move] = await db`select state, failure from account_move where account_id = ${device.accountId}`;
  assert.equal(move?.['state'], 'queued');
  assert.match(String(move?.['failure']), /statement timeout/);
  assert.deepEqual(await ownerOf(device), { instanceId: here, epoch: 1 });
  assert.equal((await db`select 1 from account_mark where account_id = ${device.accountId}`).length, 0);
  await db`update account_move set retry_at = null where account_id = ${device.accountId}`;
  await runMoveRound(options);
  assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
  const epochs = await db`select epoch::int from account_epoch where account_id = ${device.accountId} order by epoch`;
  assert.deepEqual(
    epochs.map((row) => row['epoch']),
    [1, 2],
  );
});

test('a batch is turned back: what was moved goes home, what was not stays', async () => {
  const [moved, waiting] = [await seedDevice(db, here, 'k1'), await seedDevice(db, here, 'k2')];
  const { batchId } = await start([moved, waiting]);
  const reserved = await db.begin((tx) => reserveMoves(tx, 'test-runner', 10));
  const first = reserved.find((move) => move.accountId === moved.accountId);
  assert.ok(first);
  await moveAccount(options, first);
  const back = await db.begin((tx) => moveBatchBack(tx, batchId, { createdBy: 'test' }));
  assert.equal(back.queued, 1);
  await runMoveRound(options);
  assert.deepEqual(await ownerOf(moved), { instanceId: here, epoch: 3 });
  assert.deepEqual(await ownerOf(waiting), { instanceId: here, epoch: 1 });
});

test('moves wait while the deliveries of earlier ones have not drained', async () => {
  const device = await seedDevice(db, here, 'q1');
  await start([device]);
  const round = await runMoveRound({ ...options, drainWindow: async () => 0 });
  assert.deepEqual({ moved: round.moved, draining: round.draining }, { moved: 0, draining: true });
});

test('a runner of another release than the domain moves nothing', async () => {
  await assert.rejects(runMoveRound({ ...options, release: '1.1.0' }), { code: 'ERR_RELEASE_FENCED' });
});

test('two runners at once move each account once', async () => {
  const devices = await Promise.all(Array.from({ length: 20 }, (_, n) => seedDevice(db, here, `r${n}`)));
  await start(devices);
  await Promise.all([runMoveRound(options), runMoveRound({ ...options, name: 'rival' })]);
  await runMoveRound(options);
  for (const device of devices) assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
});

test('an account that nobody holds is moved without a mark, together with what it owes', async () => {
  const device = await seedDevice(db, here, 'u1');
  await start([device]);
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'test-runner', 10));
  assert.ok(reserved);
  const seen: unknown[] = [];
  const moved = await moveAccount(
    {
      ...options,
      oweDeliveries: async (tx) => {
        seen.push(...(await tx`select 1 from account_mark where account_id = ${device.accountId}`));
      },
    },
    reserved,
  );
  assert.equal(moved, true);
  assert.deepEqual(seen, []);
  const [move] = await db`
    select state, fenced_at <= committed_at as ordered from account_move where account_id = ${device.accountId}`;
  assert.deepEqual({ ...move }, { state: 'delivering', ordered: true });
});

test('a holder that lets go within the deadline of the marked try does not fail the move', async () => {
  const device = await seedDevice(db, here, 'u2');
  await start([device]);
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'test-runner', 10));
  assert.ok(reserved);
  let moving: Promise<boolean> | undefined;
  await db.begin(async (writer) => {
    await writer`select 1 from account where id = ${device.accountId} for share`;
    moving = moveAccount(options, reserved);
    await until('the account is marked', 60_000, async () => {
      return (await db`select 1 from account_mark where account_id = ${device.accountId}`).length > 0;
    });
  });
  assert.equal(await moving, true);
  assert.deepEqual(await ownerOf(device), { instanceId: there, epoch: 2 });
  assert.equal((await db`select 1 from account_mark where account_id = ${device.accountId}`).length, 0);
});

test('what a move of an account that is elsewhere would owe is rolled back, and the move is cancelled', async () => {
  const device = await seedDevice(db, here, 'u3');
  await start([device]);
  const [reserved] = await db.begin((tx) => reserveMoves(tx, 'test-runner', 10));
  assert.ok(reserved);
  await db`update account set instance_id = ${there} where id = ${device.accountId}`;
  const owing = {
    ...options,
    oweDeliveries: async (tx: Transaction) =>
      await tx`insert into delivery (id, account_id, device_id, item, cause, budgeted)
               values (gen_random_uuid(), ${device.accountId}, ${device.deviceId}, 'it-policy', 'move', true)`,
  };
  assert.equal(await moveAccount(owing, reserved), false);
  assert.equal(await stateOf(device), 'cancelled');
  assert.equal((await db`select 1 from delivery where account_id = ${device.accountId}`).length, 0);
});

test('a round in which a move could not even be put back ends when all its moves have', async () => {
  const [failing, slow] = [await seedDevice(db, here, 'l1'), await seedDevice(db, here, 'l2')];
  await start([failing, slow]);
  await db.unsafe(`
    create sequence refused_once;
    create function refuse_failure() returns trigger language plpgsql as $$
    begin
      perform nextval('refused_once');
      raise exception 'refused';
    end $$;
    create trigger refuse_failure before update on account_move for each row
      when (new.failure = 'not to be owed') execute function refuse_failure();`);
  const over = Promise.withResolvers<void>();
  let hasEnded = false;
  const round = runMoveRound({
    ...options,
    oweDeliveries: async (_, { accountId }) => {
      if (accountId === failing.accountId) throw new Error('not to be owed');
      await over.promise;
    },
  }).finally(() => {
    hasEnded = true;
  });
  round.catch(() => {});
  await until('the move could not be put back', 60_000, async () => {
    return (await db`select is_called from refused_once`)[0]?.['is_called'] === true;
  });
  await until('the other one is committed', 60_000, async () => (await ownerOf(slow)).epoch === 2);
  assert.equal(hasEnded, false);
  over.resolve();
  await assert.rejects(round, { message: 'refused' });
  await db.unsafe(
    'drop trigger refuse_failure on account_move; drop function refuse_failure; drop sequence refused_once',
  );
});

test('those who deliver are told of a move that was committed unheard, and again where they could not be told', async () => {
  const device = await seedDevice(db, here, 'l3');
  await start([device]);
  const ending = new AbortController();
  const told = Promise.withResolvers<void>();
  let failures = 1;
  const running = runMoves({
    ...options,
    signal: ending.signal,
    oweDeliveries: async (_, { accountId }) => {
      if (accountId !== device.accountId) return;
      await until('it is committed', 60_000, async () => (await ownerOf(device)).epoch === 2);
      throw new Error('its answer was lost');
    },
    announce: async () => {
      if (failures-- > 0) throw new Error('nobody could be told');
      told.resolve();
    },
  });
  try {
    await inTime('they are told', 60_000, told.promise);
  } finally {
    ending.abort();
    await running;
  }
});
