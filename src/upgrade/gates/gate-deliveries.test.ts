/** What becomes of the deliveries of moves, by device: who is silent, who has it open, who stays away, and whom nobody asks. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { takeBackSilent } from '../../deliveries/suspects.ts';
import { insertUpgrade } from '../state/upgrade-store.ts';
import { insertAssignments } from '../state/wave-accounts.ts';
import { insertWaves } from '../state/wave-store.ts';
import { insertTestDomain, insertTestInstance } from '../steps/domain-fixture.ts';
import { readDeliveries } from './gate-deliveries.ts';

const limited = { timeout: 120_000 };
const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db, { release: '1.1.0' });
const east = await insertTestInstance(db, { name: 'east', accounts: 2 });
const fresh = await insertTestInstance(db, { name: 'east-1-1', accounts: 0, release: '1.1.0' });
const plan = upgradePlanSchema.parse({ options: {} });
const scope = await db.begin(async (tx) => {
  const { id } = await insertUpgrade(tx, { fromRelease: '1.0.0', toRelease: '1.1.0', plan });
  await insertWaves(tx, id, [{ number: 1, name: 'canary' }]);
  const accounts = await tx<{ id: string }[]>`select id from account`;
  const where = { waveNumber: 1, fromInstanceId: east.id as never, toInstanceId: fresh.id as never };
  await insertAssignments(
    tx,
    id,
    accounts.map((account) => ({ ...where, accountId: account.id as never })),
  );
  return { upgradeId: id, wave: 1 };
});
// The first account has moved ten minutes ago; the second has not.
const move = randomUUID();
const batch = randomUUID();
await db`
  insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
  values (${batch}, 'wave', ${scope.upgradeId}, 1, 'running', 'test')`;
await db`
  insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id, state, committed_at)
  select ${move}, ${batch}, id, ${east.id}, ${fresh.id}, 'delivering', now() - interval '10 minutes'
    from account where name = 'east-0'`;
await db`update account set instance_id = ${fresh.id}, epoch = 2 where name = 'east-0'`;

async function device(account: string, seenMinutesAgo: number | null): Promise<string> {
  const id = randomUUID();
  await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, last_seen_at)
    select ${id}, id, ${id}, 'apple', 'active', 'c', now() - make_interval(mins => ${seenMinutesAgo}) from account
     where name = ${account}`;
  return id;
}

/** A device of the moved account with a delivery of its move, and the command that carries it. */
async function owed(
  state: string,
  {
    seen = 1,
    takenSecondsAgo = null,
    command = 'queued',
  }: { seen?: number | null; takenSecondsAgo?: number | null; command?: string } = {},
): Promise<void> {
  const deviceId = await device('east-0', seen);
  const id = randomUUID();
  await db`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id, handed_out_at)
    select ${id}, account_id, id, 'it-policy', 'move', true, ${state}, ${move},
           now() - make_interval(secs => ${takenSecondsAgo}) from device where id = ${deviceId}`;
  await db`
    insert into command (id, device_id, account_id, delivery_id, request_type, body, state)
    select gen_random_uuid(), id, account_id, ${id}, 'InstallProfile', '', ${command} from device where id = ${deviceId}`;
}

const read = async (silentAfterSeconds = 60) => await readDeliveries(db, scope, silentAfterSeconds);
const none = { done: 0, failed: 0, silent: 0, open: 0, missing: 0, excused: 0 };
const clear = async () => await db`delete from device`;

test('a device that took a delivery and does not answer is silent, also once it was taken back', limited, async () => {
  for (let each = 0; each < 4; each++) await owed('handed-out', { takenSecondsAgo: 400, command: 'sent' });
  await owed('done', { takenSecondsAgo: 400, command: 'acknowledged' });
  assert.deepEqual((await read()).deliveries, { ...none, done: 1, silent: 4 });
  // No suspects' place is free: what they have had for five minutes is released again.
  assert.equal((await takeBackSilent(db, fresh.id, 60)).length, 4);
  assert.deepEqual((await read()).deliveries, { ...none, done: 1, silent: 4 });
  assert.deepEqual((await read(500)).deliveries, { ...none, done: 1, open: 4 }, 'the budget says from when on');
  await clear();
});

test(
  'a device that came and has its delivery open counts as that; one that answered NotNow is excused',
  limited,
  async () => {
    await owed('released');
    await owed('handed-out', { takenSecondsAgo: 5, command: 'sent' });
    await owed('released', { takenSecondsAgo: 400, command: 'not-now' });
    assert.deepEqual((await read()).deliveries, { ...none, open: 2, excused: 1 });
    await clear();
  },
);

test(
  'a device that stays away is missing where it came shortly before the move, as those not moved are',
  limited,
  async () => {
    await owed('released', { seen: 15 });
    await owed('released', { seen: 25 });
    await owed('owed', { seen: null });
    for (const minutes of [1, 9, 12, 15, 25]) await device('east-1', minutes);
    const { deliveries, usuallyMissing } = await read();
    assert.deepEqual(deliveries, { ...none, missing: 1, excused: 2 });
    assert.deepEqual(usuallyMissing, { requests: 4, bad: 2 });
    await clear();
  },
);
