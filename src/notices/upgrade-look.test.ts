import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { upgradePlanSchema } from '../api/upgrade-plan.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { finalDecision } from '../upgrade/state/upgrade-states.ts';
import { insertUpgrade } from '../upgrade/state/upgrade-store.ts';
import { insertTestDomain } from '../upgrade/steps/domain-fixture.ts';
import { tellConditions } from './conditions.ts';
import { endedFenceLook, upgradeLook } from './upgrade-look.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test' });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db);

beforeEach(async () => {
  await db`truncate upgrade, event, notice_condition cascade`;
  const plan = upgradePlanSchema.parse({ options: {} });
  await db.begin((tx) => insertUpgrade(tx, { fromRelease: '1.3.0', toRelease: '1.4.0', plan }));
});

const since = async (state: 'soaking' | 'paused', days: number) => {
  await db`
    update upgrade set state = ${state}, paused_from = ${state === 'paused' ? 'moving' : null},
           progress = ${db.json(state === 'soaking' ? { waitingFor: finalDecision } : {})}`;
  await db`
    insert into upgrade_event (upgrade_id, generation, state, message, at)
    select id, generation, ${state}, 'x', now() - make_interval(days => ${days}) from upgrade`;
  await db`delete from upgrade_event where state <> ${state}`;
};
const messages = async () => ((await upgradeLook(db).look()) ?? []).map(({ message }) => message);

test('an upgrade that nobody finalizes is reminded of after three days, and every three days', async () => {
  await since('soaking', 2);
  assert.deepEqual(await messages(), []);
  await since('soaking', 4);
  assert.match((await messages()).join(), /to 1\.4\.0 has passed all its waves 4 days ago: `bramble upgrade finalize`/);

  const tellAt = async (days: number) => {
    const look = upgradeLook(db, () => Date.now() + days * 86_400_000);
    await tellConditions(db, [look], (_look, error) => assert.fail(String(error)));
    return (await db`select 1 from event where kind = 'upgrade-unfinalized'`).length;
  };
  assert.deepEqual([await tellAt(0), await tellAt(0)], [1, 1]);
  await db`update notice_condition set again_at = again_at - interval '3 days'`;
  assert.deepEqual([await tellAt(0), await tellAt(0)], [2, 2]);
});

/** What the log has: the state and how many days ago. */
const logged = async (...events: [state: string, days: number][]) => {
  await db`delete from upgrade_event`;
  for (const [index, [state, days]] of events.entries()) {
    await db`
      insert into upgrade_event (upgrade_id, generation, state, message, at)
      select id, ${index}, ${state}, 'x', now() - make_interval(days => ${days}) from upgrade`;
  }
};

test('a pause in between begins no new time, and brings no reminder before its turn', async () => {
  await since('soaking', 4);
  const tell = async () => {
    await tellConditions(db, [upgradeLook(db)], (_look, error) => assert.fail(String(error)));
    return (await db`select 1 from event where kind = 'upgrade-unfinalized'`).length;
  };
  assert.equal(await tell(), 1);
  await logged(['moving', 5], ['soaking', 4], ['paused', 0]);
  await db`update upgrade set state = 'paused', paused_from = 'soaking', progress = '{}', generation = 2`;
  assert.match((await messages()).join(), /paused in soaking, and has not gone on for 4 days: .*resume` or .*reverse`/);
  assert.equal(await tell(), 1);
  await logged(['moving', 5], ['soaking', 4], ['paused', 0], ['soaking', 0]);
  await db`update upgrade set state = 'soaking', paused_from = null, generation = 3`;
  assert.equal(await tell(), 1);
});

test('so is one that is being finalized or reversed for days, with what it waits for', async () => {
  await logged(['soaking', 9], ['finalizing', 4], ['paused', 1]);
  await db`update upgrade set state = 'finalizing', progress = '{"waitingFor": "supervisors of berlin"}'`;
  assert.match((await messages()).join(), /has been finalizing for 4 days, and waits for supervisors of berlin: /);
  await db`update upgrade set state = 'paused', paused_from = 'finalizing', generation = 2`;
  assert.match(
    (await messages()).join(),
    /paused in finalizing, and has not gone on for 4 days: `bramble upgrade resume`\./,
  );
  await logged(['soaking', 9], ['reversing', 2]);
  await db`update upgrade set state = 'reversing', paused_from = null`;
  assert.deepEqual(await messages(), []);
});

test('so is one that stays paused; one that goes on is not', async () => {
  await since('paused', 5);
  assert.match(
    (await messages()).join(),
    /is paused in moving, and has not gone on for 5 days: `bramble upgrade resume` or `bramble upgrade rev/,
  );
  await db`update upgrade set state = 'moving', paused_from = null`;
  assert.deepEqual(await messages(), []);
  await db`update upgrade set state = 'done'`;
  assert.deepEqual(await messages(), []);
});

test('a blocked fence is over with its upgrade, if no coordinator says so before', async () => {
  assert.equal(await endedFenceLook(db).look(), null);
  await db`update upgrade set state = 'cancelled'`;
  assert.deepEqual(await endedFenceLook(db).look(), []);
});
