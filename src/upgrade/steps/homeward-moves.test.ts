/** Reversing a large domain: a step queues a part of the accounts, and those whose home is lost cost it nothing but their number. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type InstanceId, newId, type UpgradeId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance } from './domain-fixture.ts';
import { queueMovesHome } from './homeward-moves.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
after(async () => await db.end());
await insertTestDomain(db);
const east = await insertTestInstance(db, { name: 'east', accounts: 0 });
const west = await insertTestInstance(db, { name: 'west', accounts: 0 });
const fromEast = await insertTestInstance(db, { name: 'east-1-1', accounts: 6_000 });
const fromWest = await insertTestInstance(db, { name: 'west-1-1', accounts: 1_200 });
const upgrade = { id: newId<UpgradeId>(), fromRelease: '1.0.0', toRelease: '1.1.0' } as Upgrade;
await db`
  insert into upgrade (id, from_release, to_release, state, plan) values (${upgrade.id}, '1.0.0', '1.1.0', 'reversing', '{}')`;
const made = [
  { name: fromEast.name, instanceId: fromEast.id, replacesId: east.id },
  { name: fromWest.name, instanceId: fromWest.id, replacesId: west.id },
] as NewInstance[];

const look = async () => await db.begin((tx) => queueMovesHome({ name: 'coordinator' }, tx, upgrade, made));
const isAtWork = async (name: string, is: boolean) =>
  await db`update component set lease_until = now() + interval '1 hour' * ${is ? 1 : -1} where name = ${name}`;
const queuedTo = async (id: string) =>
  (await db`select from account_move where to_instance_id = ${id as InstanceId} and state = 'queued'`).length;

test('a step queues 5,000 moves home at most, the next looks the rest, and each of them once', async () => {
  await isAtWork('west', false);
  const waiting =
    '; 1200 of them once west on here is at work: they are served where they are. ' +
    'If that is lost: `bramble move start --from west-1-1 --to <another instance of 1.0.0>`';
  assert.deepEqual(await look(), { queued: 5_000, waiting });
  assert.deepEqual(await look(), { queued: 1_000, waiting });
  assert.deepEqual(await look(), { queued: 0, waiting });
  assert.deepEqual([await queuedTo(east.id), await queuedTo(west.id)], [6_000, 0]);
  await isAtWork('west', true);
  assert.deepEqual(await look(), { queued: 1_200, waiting: '' });
});

test('moves to a home that is lost are taken back, however many batches they are in; the others stay', async () => {
  await isAtWork('east', false);
  const { queued, waiting } = await look();
  assert.deepEqual([queued, waiting.startsWith('; 6000 of them once east on here is at work')], [0, true]);
  assert.deepEqual([await queuedTo(east.id), await queuedTo(west.id)], [0, 1_200]);
});
