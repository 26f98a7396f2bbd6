/** What the upgrade does to moves of many batches at once. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { AccountId, InstanceId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { type AskedMove, createMoveBatch } from './batch-store.ts';
import { stopMovesTo } from './move-reports.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
after(async () => await db.end());
const { here, there } = await seedDomain(db);

async function queue(names: readonly string[], from: InstanceId, to: InstanceId): Promise<void> {
  const moves: AskedMove[] = [];
  for (const name of names) {
    const { accountId } = await seedDevice(db, from, name);
    moves.push({ accountId: accountId as AccountId, toInstanceId: to });
  }
  await db.begin((tx) => createMoveBatch(tx, { purpose: 'manual', createdBy: 'test', moves }));
}

test('all open moves to an instance are stopped, in whichever batch and however far, and no others', async () => {
  await queue(['ada', 'bea'], here, there);
  await queue(['cy', 'dan'], here, there);
  await queue(['eve'], there, here);
  const set = async (name: string, state: string) =>
    await db`update account_move set state = ${state} where account_id = (select id from account where name = ${name})`;
  await set('bea', 'delivering');
  await set('dan', 'fenced');
  await db.begin((tx) => stopMovesTo(tx, [there]));
  const moves = await db<{ move: string }[]>`
    select a.name || ' ' || m.state as move from account_move m join account a on a.id = m.account_id order by 1`;
  assert.deepEqual(
    moves.map(({ move }) => move),
    ['ada cancelled', 'bea closed', 'cy cancelled', 'dan cancelled', 'eve queued'],
  );
});
