import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/test-database.ts';
import { readGateFigures } from './gate-samples.ts';
import { insertTestDomain, insertTestInstance } from './test-domain.ts';
import { upgradePlanSchema } from './upgrade-plan.ts';
import { insertUpgrade } from './upgrade-store.ts';
import { insertWaves, reopenWave, setWaveState } from './wave-store.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db);
const east = await insertTestInstance(db, { name: 'east', accounts: 3 });
const fresh = await insertTestInstance(db, { name: 'east-1-1', accounts: 0, release: '1.1.0' });
const plan = upgradePlanSchema.parse({ options: {} });
const { id } = await db.begin((tx) => insertUpgrade(tx, { fromRelease: '1.0.0', toRelease: '1.1.0', plan }));

/** A sample of `secondsAgo`. */
async function sample(account: string, instance: string, secondsAgo: number, requests: number, errors = 0) {
  await db`
    insert into request_sample (instance_id, account_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    select ${instance}, id, now() - make_interval(secs => ${secondsAgo}), ${requests}, ${errors}, ${requests * 4}, 9
      from account where name = ${account}`;
}

test('the figures are those of the moved accounts at their new instance, of their own past, and of those not moved', async () => {
  await db.begin(async (tx) => {
    await insertWaves(tx, id, [
      { number: 1, name: 'canary' },
      { number: 2, name: '100 %' },
    ]);
    await setWaveState(tx, id, 1, 'running');
    await tx`update upgrade_wave set started_at = now() - interval '200 seconds' where number = 1`;
    await tx`
      insert into upgrade_assignment (upgrade_id, account_id, wave_number, from_instance_id, to_instance_id)
      select ${id}, id, case name when 'east-0' then 1 else 2 end, ${east.id}, ${fresh.id} from account`;
    await tx`update account set instance_id = ${fresh.id}, epoch = 2 where name = 'east-0'`;
    const batch = randomUUID();
    await tx`
      insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
      values (${batch}, 'wave', ${id}, 1, 'done', 'test')`;
    await tx`
      insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id, state, committed_at, settled_at)
      select gen_random_uuid(), ${batch}, id, ${east.id}, ${fresh.id}, 'closed', now() - interval '150 seconds',
             now() - interval '100 seconds' from account where name = 'east-0'`;
    await tx`
      insert into device (id, account_id, token, platform, state, scep_challenge)
      select gen_random_uuid(), id, 't', 'apple', 'active', 'c' from account where name = 'east-0'`;
    await tx`
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id, settled_at)
      select gen_random_uuid(), d.account_id, d.id, i.item, 'move', true, i.state, m.id, now()
        from device d, account_move m, (values ('it-policy', 'done'), ('service-books', 'failed')) as i(item, state)`;
  });
  await sample('east-0', east.id, 3600, 100, 1);
  await sample('east-0', east.id, 90_000, 1000, 1000);
  await sample('east-0', fresh.id, 130, 7, 7);
  await sample('east-0', fresh.id, 50, 40, 2);
  await sample('east-1', east.id, 50, 60);
  await sample('east-2', east.id, 500, 1000);

  const scope = { upgradeId: id, wave: 1, baselineHours: 24 };
  const settled = await readGateFigures(db, { ...scope, since: 'settled' });
  assert.deepEqual(settled, {
    moved: { requests: 40, errors: 2, latencyMsSum: 160 },
    before: { requests: 100, errors: 1, latencyMsSum: 400 },
    unmoved: { requests: 60, errors: 0, latencyMsSum: 240 },
    deliveries: { done: 1, failed: 1, open: 0 },
  });
  const committed = await readGateFigures(db, { ...scope, since: 'committed' });
  assert.equal(
    committed.moved.requests,
    47,
    'while moving, what happens before the deliveries are answered counts too',
  );
  assert.equal((await readGateFigures(db, { ...scope, wave: null, since: 'settled' })).moved.requests, 40);
});

test('nothing counts that lies before a resumed wave, and no sample is an empty one', async () => {
  await db.begin((tx) => reopenWave(tx, id));
  const figures = await readGateFigures(db, { upgradeId: id, wave: 1, baselineHours: 24, since: 'settled' });
  assert.deepEqual(figures.moved, { requests: 0, errors: 0, latencyMsSum: 0 });
  assert.deepEqual(figures.deliveries, { done: 0, failed: 0, open: 0 });
});
