import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { isBrambleError } from '../../base/errors.ts';
import type { InstanceId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { pauseUpgradeBatches, resumeUpgradeBatches } from '../../moves/move-reports.ts';
import { insertTestDomain, insertTestInstance } from '../steps/domain-fixture.ts';
import {
  insertUpgrade,
  LeaseLostError,
  listUpgradeEvents,
  lockLeased,
  lockOpenUpgrade,
  mergeProgress,
  reachStep,
  readLatestUpgrade,
  readOpenUpgrade,
  releaseLease,
  renewLease,
  replacePlan,
  takeLease,
  transition,
  type Upgrade,
} from './upgrade-store.ts';
import {
  changeAssignment,
  countAssigned,
  insertAssignments,
  listLatecomers,
  listUnmoved,
  readWaveMoves,
} from './wave-accounts.ts';
import { insertWaves, listWaves, reopenWaves, setWaveGate, setWaveState } from './wave-store.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db);
const [east, west] = [
  await insertTestInstance(db, { name: 'east', accounts: 2 }),
  await insertTestInstance(db, { name: 'west', accounts: 0 }),
];

const plan = upgradePlanSchema.parse({ options: {}, fromLater: { key: 1 } });
const insert = () => db.begin((tx) => insertUpgrade(tx, { fromRelease: '1.0.0', toRelease: '1.1.0', plan }));
const accountIds = async () =>
  (await db<{ id: string }[]>`select id from account where name like 'east-%' order by name`).map((row) => row.id);

beforeEach(async () => {
  await db`truncate upgrade, move_batch cascade`;
});

test('one upgrade is open at most, and a finished one makes room for the next', async () => {
  const first = await insert();
  await assert.rejects(insert(), (error) => isBrambleError(error, 'ERR_UPGRADE_OPEN'));
  await db.begin((tx) => transition(tx, first, 'cancelled', { message: '' }));
  const second = await insert();
  assert.equal((await readOpenUpgrade(db))?.id, second.id);
  assert.equal((await readLatestUpgrade(db))?.id, second.id);
});

test('a change from a state that is no longer there is a conflict, and leaves neither change nor event', async () => {
  const read = await insert();
  const changed = await db.begin((tx) => transition(tx, read, 'checked', { message: 'first' }));
  assert.equal(changed.kind, 'changed');
  assert.equal((await db.begin((tx) => transition(tx, read, 'cancelled', { message: 'late' }))).kind, 'conflict');
  const now = await readOpenUpgrade(db);
  assert.deepEqual([now?.state, now?.generation], ['checked', 2]);
  assert.equal(
    (await listUpgradeEvents(db, read.id)).some((event) => event.message === 'late'),
    false,
  );
});

test('a hundred rivals for one transition: one wins', async () => {
  const read = await insert();
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, () => db.begin((tx) => transition(tx, read, 'checked', { message: '' }))),
  );
  assert.equal(outcomes.filter((outcome) => outcome.kind === 'changed').length, 1);
});

test('a transition that the state machine does not have is refused', async () => {
  const read = await insert();
  await assert.rejects(
    db.begin((tx) => transition(tx, read, 'moving', { message: '' })),
    (error) => isBrambleError(error, 'ERR_UPGRADE_STATE'),
  );
});

async function moving(): Promise<Upgrade> {
  let upgrade = await insert();
  for (const next of ['checked', 'admin-fenced', 'expanded', 'admin-upgraded', 'moving'] as const) {
    const outcome = await db.begin((tx) => transition(tx, upgrade, next, { message: next }));
    assert.equal(outcome.kind, 'changed');
    if (outcome.kind === 'changed') upgrade = outcome.upgrade;
  }
  return upgrade;
}

test('paused remembers where it came from and why, and resumed forgets both', async () => {
  const upgrade = await moving();
  const paused = await db.begin((tx) => transition(tx, upgrade, 'paused', { message: 'm', pauseReason: 'because' }));
  assert.ok(paused.kind === 'changed');
  assert.deepEqual([paused.upgrade.pausedFrom, paused.upgrade.pauseReason], ['moving', 'because']);
  const resumed = await db.begin((tx) => transition(tx, paused.upgrade, 'moving', { message: 'm' }));
  assert.ok(resumed.kind === 'changed');
  assert.deepEqual([resumed.upgrade.pausedFrom, resumed.upgrade.pauseReason], [null, null]);
});

test('a change that was decided before the same state came again is a conflict', async () => {
  const decided = await moving();
  const paused = await db.begin((tx) => transition(tx, decided, 'paused', { message: 'm' }));
  assert.ok(paused.kind === 'changed');
  await db.begin((tx) => transition(tx, paused.upgrade, 'moving', { message: 'm' }));
  assert.equal((await db.begin((tx) => transition(tx, decided, 'all-moved', { message: 'late' }))).kind, 'conflict');
  const now = await readOpenUpgrade(db);
  assert.deepEqual([now?.state, now?.generation], ['moving', decided.generation + 2]);
});

test('plan and progress keep keys that this release does not know', async () => {
  const upgrade = await insert();
  await db`update upgrade set progress = '{"later": [1]}'`;
  await db.begin((tx) => mergeProgress(tx, upgrade.id, { startedBy: 'ada' }));
  await db.begin((tx) => reachStep(tx, upgrade, { at: 'started' }));
  await db.begin((tx) => replacePlan(tx, upgrade.id, { ...plan, second: 2 }));
  const read = await readOpenUpgrade(db);
  const [row] = await db<{ progress: object }[]>`select progress from upgrade where id = ${upgrade.id}`;
  assert.deepEqual(row?.progress, { later: [1], startedBy: 'ada', started: true });
  assert.deepEqual([read?.progress.startedBy, read?.progress.step], ['ada', { at: 'started' }]);
  assert.deepEqual([read?.plan['fromLater'], read?.plan['second']], [{ key: 1 }, 2]);
});

test('the lease is one holder’s until it runs out or is given back; only that one’s transactions commit', async () => {
  const { id } = await insert();
  const asHolder = async (holder: string) => (await db.begin((tx) => lockLeased(tx, id, holder))).id;
  assert.equal(await takeLease(db, id, 'a'), true);
  assert.equal(await takeLease(db, id, 'b'), false);
  assert.equal(await takeLease(db, id, 'a'), true);
  await assert.rejects(asHolder('b'), LeaseLostError);
  assert.equal(await asHolder('a'), id);
  await db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
  assert.equal(await takeLease(db, id, 'b'), true);
  await renewLease(db, id, 'a');
  await releaseLease(db, id, 'a');
  await assert.rejects(asHolder('a'), LeaseLostError);
  await releaseLease(db, id, 'b');
  assert.equal(await takeLease(db, id, 'a'), true);
});

test('the open upgrade is locked for whoever changes it, and a final one is not open', async () => {
  const upgrade = await insert();
  await db.begin(async (tx) => {
    assert.equal((await lockOpenUpgrade(tx))?.id, upgrade.id);
    await transition(tx, upgrade, 'cancelled', { message: '' });
    assert.equal(await lockOpenUpgrade(tx), undefined);
  });
});

async function withWaves(): Promise<Upgrade> {
  const upgrade = await moving();
  const [first] = await accountIds();
  assert.ok(first);
  await db.begin(async (tx) => {
    await insertWaves(tx, upgrade.id, [
      { number: 1, name: 'canary' },
      { number: 2, name: '100 %' },
    ]);
    const assignment = { accountId: first, waveNumber: 1, fromInstanceId: east.id, toInstanceId: west.id } as never;
    await insertAssignments(tx, upgrade.id, [assignment]);
  });
  return upgrade;
}

test('waves keep their states with times; a failed one that is reopened runs again in a new window', async () => {
  const { id } = await withWaves();
  await db.begin(async (tx) => {
    await setWaveState(tx, id, 1, 'running');
    await setWaveState(tx, id, 1, 'soaking');
    await setWaveGate(tx, id, 1, { answer: 'fail', reasons: ['x'] });
    await setWaveState(tx, id, 1, 'failed');
  });
  const [failed] = await listWaves(db, id);
  assert.equal(failed?.gate?.['answer'], 'fail');
  assert.ok(failed?.startedAt && failed.soakingAt);
  await db.begin((tx) => reopenWaves(tx, id));
  const [reopened, waiting] = await listWaves(db, id);
  assert.equal(reopened?.state, 'running');
  assert.ok(reopened?.gate?.['windowFrom']);
  assert.equal(waiting?.state, 'waiting');
});

test('accounts without a wave join the last one, and an assignment can be changed', async () => {
  const { id } = await withWaves();
  const [first, second] = await accountIds();
  const late = await listLatecomers(db, id, [east.id]);
  assert.deepEqual([...late], [{ accountId: second, fromInstanceId: east.id }]);
  const assignments = late.map((account) => ({ ...account, waveNumber: 2, toInstanceId: west.id as InstanceId }));
  await db.begin((tx) => insertAssignments(tx, id, assignments));
  assert.equal((await listLatecomers(db, id, [east.id])).length, 0);
  assert.deepEqual(await countAssigned(db, id), new Map([['west', 2]]));
  assert.deepEqual(
    (await listUnmoved(db, id, 1)).map((move) => move.accountId),
    [first],
  );
  assert.deepEqual(
    (await listUnmoved(db, id, 2)).map((move) => move.accountId),
    [first, second],
  );
  const change = { accountId: second ?? '', toInstanceId: west.id, waveNumber: 1 };
  assert.equal(await db.begin((tx) => changeAssignment(tx, id, change)), 'changed');
  assert.equal((await listUnmoved(db, id, 1)).length, 2);
  const nobody = { ...change, accountId: east.id };
  assert.equal(await db.begin((tx) => changeAssignment(tx, id, nobody)), 'not-assigned');
});

test('how a wave’s accounts stand is counted from their moves', async () => {
  const { id } = await withWaves();
  const [first] = await accountIds();
  assert.deepEqual((await readWaveMoves(db, id, 1)).waiting, 1);
  const batch = await db`
    insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
    values (gen_random_uuid(), 'wave', ${id}, 1, 'running', 'test') returning id`;
  const [move] = await db`
    insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id)
    values (gen_random_uuid(), ${batch[0]?.['id']}, ${first ?? ''}, ${east.id}, ${west.id}) returning id`;
  assert.deepEqual((await readWaveMoves(db, id, 1)).underWay, 1);
  assert.equal((await listUnmoved(db, id, 1)).length, 0);
  await db.begin((tx) => pauseUpgradeBatches(tx, id, 'why'));
  assert.deepEqual(
    (await db`select state, pause_reason from move_batch`).map((row) => ({ ...row })),
    [{ state: 'paused', pause_reason: 'why' }],
  );
  await db.begin((tx) => resumeUpgradeBatches(tx, id));
  assert.equal((await db`select 1 from move_batch where state = 'running'`).length, 1);
  await db.begin((tx) => setWaveState(tx, id, 1, 'running'));
  await db`update account_move set state = 'rolled-back', closed_at = clock_timestamp() where id = ${move?.['id']}`;
  const failed = await readWaveMoves(db, id, 1);
  assert.deepEqual([failed.waiting, failed.failed], [1, 1]);
  await db.begin((tx) => reopenWaves(tx, id));
  assert.equal((await readWaveMoves(db, id, 1)).failed, 0, 'a resumed wave tries it again');
});
