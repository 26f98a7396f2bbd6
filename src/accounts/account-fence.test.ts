import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type AccountId, newId } from '../base/ids.ts';
import { openDatabase, type Transaction } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { withAccountFence } from './account-fence.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
const mover = openDatabase(url, { applicationName: 'mover', max: 2 });
const { here, there } = await seedDomain(db);
after(async () => await Promise.all([db.end(), mover.end()]));

const limited = { timeout: 20_000 };
const move = (tx: Transaction, accountId: AccountId) =>
  tx`update account set instance_id = ${there}, epoch = epoch + 1 where id = ${accountId}`;

/** A write of the account, as any fenced work makes one. */
const write = (tx: Transaction, deviceId: string) => tx`update device set model = 'written' where id = ${deviceId}`;
async function written(deviceId: string): Promise<boolean> {
  return (await db`select 1 from device where id = ${deviceId} and model = 'written'`).length === 1;
}

test('the owner’s work is done in one transaction, with the epoch that it is done under', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'own');
  const outcome = await withAccountFence(db, accountId, here, async (tx, epoch) => {
    await write(tx, deviceId);
    return epoch;
  });
  assert.deepEqual(outcome, { kind: 'done', value: '1' });
  assert.ok(await written(deviceId));
});

test('work that throws is rolled back, and its error comes through', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'throws');
  const failing = withAccountFence(db, accountId, here, async (tx) => {
    await write(tx, deviceId);
    throw new RangeError('no');
  });
  await assert.rejects(failing, RangeError);
  assert.ok(!(await written(deviceId)));
});

test('another instance’s account is answered with its owner, and no work is begun', limited, async () => {
  const { accountId } = await seedDevice(db, there, 'other');
  const outcome = await withAccountFence(db, accountId, here, async () => assert.fail('it is not the owner'));
  assert.deepEqual(outcome, { kind: 'not-owner', owner: 'S10000002' });
});

test('a mover that commits while the fence waits for it leaves nothing to write', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'mid');
  const fenced = await mover.begin(async (tx) => {
    await move(tx, accountId);
    const waiting = watched(withAccountFence(db, accountId, here, (fence) => write(fence, deviceId)));
    assert.ok(await untilOneWaits(db, waiting.settled), 'the fence waits for the mover’s commit');
    return waiting;
  });
  assert.deepEqual(await fenced.result, { kind: 'not-owner', owner: 'S10000002' });
  assert.ok(!(await written(deviceId)));
});

test('a mover that rolls back while the fence waits for it changes nothing', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'back');
  const fenced: ReturnType<typeof watched<unknown>>[] = [];
  const moving = mover.begin(async (tx) => {
    await move(tx, accountId);
    const waiting = watched(
      withAccountFence(db, accountId, here, async (fence) => (await write(fence, deviceId)).count),
    );
    fenced.push(waiting);
    assert.ok(await untilOneWaits(db, waiting.settled));
    throw new RangeError('not moved');
  });
  await assert.rejects(moving, RangeError);
  assert.deepEqual(await fenced[0]?.result, { kind: 'done', value: 1 });
});

test('a mover waits for work that is under way, whose writes stand before it', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'under-way');
  const outcome = await withAccountFence(db, accountId, here, async (tx) => {
    const moving = watched(mover.begin((other) => move(other, accountId)));
    assert.ok(await untilOneWaits(db, moving.settled), 'the mover waits for the fence');
    await write(tx, deviceId);
    return moving;
  });
  assert.ok(outcome.kind === 'done');
  await outcome.value.result;
  assert.ok(await written(deviceId));
  const later = await withAccountFence(db, accountId, here, (tx) => write(tx, deviceId));
  assert.equal(later.kind, 'not-owner');
});

test('several fences of one account do not wait for each other', limited, async () => {
  const { accountId } = await seedDevice(db, here, 'shared');
  const both = Promise.withResolvers<void>();
  let inside = 0;
  const work = async () => {
    inside++;
    if (inside === 2) both.resolve();
    await both.promise;
  };
  const outcomes = await Promise.all([1, 2].map(() => withAccountFence(db, accountId, here, work)));
  assert.deepEqual(
    outcomes.map((outcome) => outcome.kind),
    ['done', 'done'],
  );
});

test('a marked account is stepped back from until the mark runs out by the database’s clock', limited, async () => {
  const { accountId } = await seedDevice(db, here, 'marked');
  await db`
    insert into account_mark (account_id, move_id, until)
    values (${accountId}, gen_random_uuid(), clock_timestamp() + interval '1 hour')`;
  const blocked = await withAccountFence(db, accountId, here, async () => assert.fail('it is marked'));
  assert.deepEqual(blocked, { kind: 'moving' });
  await db`update account_mark set until = clock_timestamp() where account_id = ${accountId}`;
  assert.equal((await withAccountFence(db, accountId, here, async () => null)).kind, 'done');
});

test('a marked account of another instance is the other instance’s all the same', limited, async () => {
  const { accountId } = await seedDevice(db, there, 'marked-there');
  await db`
    insert into account_mark (account_id, move_id, until)
    values (${accountId}, gen_random_uuid(), clock_timestamp() + interval '1 hour')`;
  const outcome = await withAccountFence(db, accountId, here, async () => null);
  assert.deepEqual(outcome, { kind: 'not-owner', owner: 'S10000002' });
});

test('an account whose row a mover holds for longer than a fence may wait is on its way', limited, async () => {
  const { accountId } = await seedDevice(db, here, 'held');
  const outcome = await mover.begin(async (tx) => {
    await move(tx, accountId);
    return await withAccountFence(db, accountId, here, async () => assert.fail('it is held'));
  });
  assert.deepEqual(outcome, { kind: 'moving' });
});

test('an account that does not exist is answered like one that is on its way', limited, async () => {
  const outcome = await withAccountFence(db, newId<AccountId>(), here, async () => assert.fail('no account'));
  assert.deepEqual(outcome, { kind: 'moving' });
});

test('work that takes too long is ended, so that a mover’s wait has an end', limited, async () => {
  const { accountId, deviceId } = await seedDevice(db, here, 'slow');
  const slow = withAccountFence(db, accountId, here, async (tx) => {
    await write(tx, deviceId);
    await tx`select pg_sleep(15)`;
  });
  await assert.rejects(slow, { code: '57014' });
  assert.ok(!(await written(deviceId)));
  const [session] = await db<{ timeout: string }[]>`select current_setting('statement_timeout') as timeout`;
  assert.equal(session?.timeout, '0', 'the deadline is the transaction’s, not the session’s');
});
