/** Which ends of the new instances count against them, beside those of the old release and of the upgrade's own processes. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { insertUpgrade } from '../state/upgrade-store.ts';
import { insertWaves } from '../state/wave-store.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess } from '../steps/domain-fixture.ts';
import { isOutage, readInterruptions, type Witness } from './gate-interruptions.ts';

const limited = { timeout: 120_000 };
const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 4 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db, { release: '1.1.0' });
const plan = upgradePlanSchema.parse({ options: {} });
const { id: upgradeId } = await db.begin(async (tx) => {
  const upgrade = await insertUpgrade(tx, { fromRelease: '1.0.0', toRelease: '1.1.0', plan });
  await insertWaves(tx, upgrade.id, [{ number: 1, name: 'canary' }]);
  return upgrade;
});
// Of the old release: east with its connection service on one host, west with its own on another.
for (const name of ['east', 'west']) await insertTestInstance(db, { name, accounts: 1 });
await db`update component set host = 'there' where name like 'west%'`;
const batch = randomUUID();
await db`
  insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
  values (${batch}, 'wave', ${upgradeId}, 1, 'done', 'test')`;
// Of the new one, beside east: accounts came to the first ten minutes ago, and to the second one minute ago.
for (const [name, from, seconds] of [
  ['east-1-1', 'east-0', 600],
  ['east-1-1b', 'west-0', 60],
] as const) {
  const { id } = await insertTestInstance(db, { name, accounts: 0, release: '1.1.0' });
  await db`
    insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id, state, committed_at)
    select gen_random_uuid(), ${batch}, id, instance_id, ${id}, 'closed', now() - make_interval(secs => ${seconds})
      from account where name = ${from}`;
}
for (const kind of ['administration', 'coordinator'])
  await insertTestProcess(db, { name: kind, kind, release: '1.1.0' });

beforeEach(async () => {
  await db`delete from component_interruption`;
  await db`update component set lease_until = now() + interval '1 hour'`;
  await db`delete from component_interruption`;
  await db`update desired_process set changed_at = now() - interval '1 hour'`;
});

async function ended(name: string, ...secondsAgo: number[]) {
  for (const seconds of secondsAgo) {
    await db`
      insert into component_interruption (name, kind, release, at, cause)
      select name, kind, release, now() - make_interval(secs => ${seconds}), 'exit' from component where name = ${name}`;
  }
}
const leaseRanOut = async (name: string, seconds: number) =>
  await db`update component set lease_until = now() - make_interval(secs => ${seconds}) where name = ${name}`;
const counted = async () =>
  (await readInterruptions(db, { upgradeId, replacements: null, wave: 1 })).map(
    ({ name, cause }) => `${name} ${cause}`,
  );

test(
  'an outage of a host or a database excuses the new instances also while the others are still away',
  limited,
  async () => {
    for (const name of ['east-1-1', 'east', 'east-mds']) await leaseRanOut(name, 30);
    assert.deepEqual(await counted(), [], 'the host is away');
    for (const name of ['east-1-1', 'east', 'east-mds']) await leaseRanOut(name, 300);
    assert.deepEqual(await counted(), [], 'for long');
    await db`update component set lease_until = now() + interval '1 hour' where name in ('east', 'east-mds')`;
    assert.deepEqual(await counted(), ['east-1-1 away'], 'the others have returned');
  },
);

test(
  'nothing hides behind other processes of the new release, nor behind one old process among several',
  limited,
  async () => {
    await ended('east-1-1', 400, 300, 200);
    await ended('administration', 400, 300, 200);
    await ended('coordinator', 400, 300, 200);
    assert.equal((await counted()).length, 3);
    await ended('east', 400, 300, 200);
    assert.equal((await counted()).length, 3, 'its connection service was at work all the time');
    await ended('west', 400, 300, 200);
    await ended('west-mds', 400, 300, 200);
    assert.equal((await counted()).length, 3, 'those are on another host');
    await ended('east-mds', 400);
    assert.equal((await counted()).length, 2);
  },
);

test('coincidence excuses some ends of an instance, not all', limited, async () => {
  const often = [500, 440, 380, 320, 260, 200];
  for (const name of ['east-1-1', 'east', 'east-mds']) await ended(name, ...often);
  assert.deepEqual(await counted(), ['east-1-1 exit', 'east-1-1 exit', 'east-1-1 exit']);
});

test('an instance’s ends count from its own first account on', limited, async () => {
  await ended('east-1-1b', 400, 300, 200);
  assert.deepEqual(await counted(), []);
  await ended('east-1-1b', 30);
  assert.deepEqual(await counted(), ['east-1-1b exit']);
});

test('most of those on the host must have been interrupted in that moment; of all, where nobody old is on it', () => {
  const at = new Date('2026-01-01T00:00:00Z');
  const later = (seconds: number) => new Date(at.getTime() + seconds * 1000);
  const witness = (host: string, ...seconds: number[]): Witness => ({
    ...{ host, interruptedAt: seconds.map(later), awaySince: null },
  });
  assert.equal(isOutage([], 'a', at), false);
  assert.equal(isOutage([witness('a', 19)], 'a', at), true);
  assert.equal(isOutage([witness('a', 21), witness('a', -100)], 'a', at), false);
  assert.equal(isOutage([witness('a', 5), witness('a')], 'a', at), false);
  assert.equal(isOutage([witness('a', 5), witness('a', -5), witness('a')], 'a', at), true);
  assert.equal(isOutage([witness('a'), witness('b', 0), witness('b', 0)], 'a', at), false);
  assert.equal(isOutage([witness('a'), witness('b', 0), witness('b', 0)], 'c', at), true);
});
