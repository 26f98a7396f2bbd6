import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { insertUpgrade } from '../state/upgrade-store.ts';
import { insertWaves, reopenWaves, setWaveState } from '../state/wave-store.ts';
import { insertTestDomain, insertTestInstance } from '../steps/domain-fixture.ts';
import { sumOf } from './gate-comparisons.ts';
import type { GateFigures } from './gate-figures.ts';
import { GateMemory } from './gate-past.ts';
import { readGateFigures } from './gate-samples.ts';
import type { SampleScope } from './sample-scope.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db, { release: '1.1.0' });
const east = await insertTestInstance(db, { name: 'east', accounts: 3 });
const fresh = await insertTestInstance(db, { name: 'east-1-1', accounts: 0, release: '1.1.0' });
const plan = upgradePlanSchema.parse({ options: {} });
const { id } = await db.begin((tx) => insertUpgrade(tx, { fromRelease: '1.0.0', toRelease: '1.1.0', plan }));

// east-0 has moved 150 s ago, and its deliveries were answered 100 s ago.
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
    select gen_random_uuid(), id, 't' || n, 'apple', 'active', 'c' from account, generate_series(1, 3) n where name = 'east-0'`;
  await tx`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id, settled_at, handed_out_at)
    select gen_random_uuid(), d.account_id, d.id, i.item, 'move', true, i.state, m.id,
           case when i.state in ('done', 'failed') then now() end, now() - interval '5 minutes'
      from device d, account_move m,
           (values ('t1', 'it-policy', 'done'), ('t1', 'service-books', 'failed'), ('t2', 'it-policy', 'handed-out'),
                   ('t3', 'it-policy', 'done'), ('t3', 'service-books', 'superseded')) as i(token, item, state)
     where d.token = i.token`;
});

/** What an instance says of itself. */
async function sample(account: string, instance: string, secondsAgo: number, requests: number, errors = 0) {
  await db`
    insert into request_sample (instance_id, account_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    select ${instance}, id, now() - make_interval(secs => ${secondsAgo}), ${requests}, ${errors}, ${requests * 4}, 9
      from account where name = ${account}`;
}

/** What a router says. */
async function outcome(account: string, instance: string, secondsAgo: number, requests: number, failed = 0) {
  await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select id, ${instance}, now() - make_interval(secs => ${secondsAgo}), 'router', ${requests}, ${failed},
           array[0, 0, ${requests - failed}::int] from account where name = ${account}`;
}

const scope: SampleScope = {
  upgradeId: id,
  replacements: null,
  wave: 1,
  baselineHours: 24,
  warmUpSeconds: 0,
  since: 'settled',
};
const read = async (change: Partial<SampleScope> = {}) => await readGateFigures(db, { ...scope, ...change });
const requestsOf = ({ moved }: GateFigures) => sumOf(moved.map(({ requests, failed }) => ({ requests, bad: failed })));

test('where no router reports, what instances say of themselves counts, thinned to one request of each device', async () => {
  await sample('east-0', east.id, 3600, 100, 1);
  await sample('east-0', fresh.id, 50, 40, 2);
  await sample('east-1', east.id, 50, 60);
  const figures = await read();
  assert.equal(figures.source, 'instances');
  assert.deepEqual(figures.moved, [{ requests: 3, failed: 1, latency: [0, 0, 0, 0, 1] }], '4 ms in the mean');
  assert.equal(Math.round(figures.before.requests), 3);
  assert.equal(figures.unmoved?.requests, 1, 'who has no device counts once');
});

test('the figures are those of the moved accounts at their new instance, of their own past, and of those not moved', async () => {
  await outcome('east-0', east.id, 3600, 100, 1);
  await outcome('east-0', east.id, 90_000, 1000, 1000);
  await outcome('east-0', fresh.id, 130, 7, 7);
  await outcome('east-0', fresh.id, 70, 20, 1);
  await outcome('east-0', fresh.id, 50, 20, 1);
  await outcome('east-1', east.id, 50, 60);
  await outcome('east-2', east.id, 500, 1000);

  const { before, seconds, ...settled } = await read();
  assert.deepEqual(settled, {
    source: 'routers',
    moved: [
      { requests: 20, failed: 1, latency: [0, 0, 19] },
      { requests: 20, failed: 1, latency: [0, 0, 19] },
    ],
    accounts: { all: 1, heard: 1, unheard: [], away: 0 },
    busiest: { name: 'east-0', requests: 40, failed: 2 },
    beforeByInstances: [],
    unmoved: { requests: 60, failed: 0, latency: [0, 0, 60] },
    deliveries: { done: 1, failed: 1, silent: 1, open: 0, missing: 0, excused: 0 },
    usuallyMissing: { requests: 0, bad: 0 },
    interruptions: [],
    leftOut: { requests: 7, warmUpSeconds: 0 },
  });
  assert.deepEqual([Math.round(before.requests), Math.round(before.failed), before.latency], [100, 1, [0, 0, 99]]);
  assert.ok(seconds >= 100, `${seconds}`);
  const committed = await read({ since: 'committed' });
  assert.deepEqual(requestsOf(committed), { requests: 47, bad: 9 }, 'what fails while they move counts too');
  assert.deepEqual(committed.moved[0]?.latency, [], 'but not how long it takes');
  assert.deepEqual(requestsOf(await read({ wave: null })), { requests: 40, bad: 2 });
});

test('a coordinator remembers the past of moved accounts between its looks, for five minutes', async () => {
  let now = 0;
  const memory = new GateMemory(() => now);
  const past = async () => Math.round((await readGateFigures(db, scope, memory)).before.requests);
  assert.equal(await past(), 100);
  await outcome('east-0', east.id, 1800, 50);
  assert.equal(await past(), 100);
  now += 300_001;
  assert.equal(await past(), 150);
});

test('where routers know too little of the past, the instances tell how long requests took', async () => {
  assert.deepEqual((await read()).beforeByInstances, []);
  await db`delete from request_outcome where instance_id = ${east.id}`;
  const { before, beforeByInstances } = await read();
  assert.equal(before.requests, 0);
  assert.deepEqual(beforeByInstances, [0, 0, 0, 0, 1], 'ten seconds count once');
});

test('the warm-up of the new instance is left out, and counted as such', async () => {
  const figures = await read({ warmUpSeconds: 85 });
  assert.deepEqual(requestsOf(figures), { requests: 20, bad: 1 });
  assert.deepEqual(figures.leftOut, { requests: 27, warmUpSeconds: 85 });
});

test('unasked ends of the new instance count, but for those that befell the whole domain; long away counts again', async () => {
  const end = async (name: string, kind: string, secondsAgo: number, release = '1.1.0') => {
    await db`
      insert into component_interruption (name, kind, release, at, cause)
      values (${name}, ${kind}, ${release}, now() - make_interval(secs => ${secondsAgo}), 'exit')`;
  };
  await end('east-1-1', 'server', 120);
  await end('east-1-1', 'server', 60);
  await end('east-1-1', 'server', 300);
  await end('east', 'server', 58, '1.0.0');
  await end('east-mds', 'connection', 55, '1.0.0');
  assert.deepEqual((await read()).interruptions, [{ name: 'east-1-1', cause: 'exit' }]);
  await db`update component set lease_until = now() - interval '70 seconds' where name = 'east-1-1'`;
  await db`update desired_process set changed_at = now() - interval '1 hour' where name = 'east-1-1'`;
  assert.deepEqual(
    (await read({ wave: null })).interruptions.map(({ cause }) => cause),
    ['exit', 'away'],
    'its lease ran out beside that of east',
  );
  await db`update component set lease_until = now() - interval '100 seconds' where name = 'east-1-1'`;
  assert.equal((await read()).interruptions.length, 3);
});

test('an account that is not settled counts from its last answer on, however long ago the wave was observed', async () => {
  await db`update upgrade_wave set soaking_at = now() - interval '1 hour' where number = 1`;
  await db`update account_move set state = 'delivering', settled_at = null`;
  await db`update delivery set settled_at = now() - interval '60 seconds' where settled_at is not null`;
  assert.deepEqual(requestsOf(await read()), { requests: 20, bad: 1 });
  await db`update delivery set settled_at = now() - interval '140 seconds' where settled_at is not null`;
  assert.deepEqual(requestsOf(await read()), { requests: 40, bad: 2 }, 'its other devices are silent by then');
  await db`update account_move set state = 'closed', settled_at = now() - interval '100 seconds'`;
});

test('an account of whose devices none came before its move is not waited for; another that is not heard is named', async () => {
  await db`update account set instance_id = ${fresh.id} where name = 'east-1'`;
  await db`update upgrade_assignment set wave_number = 1 where account_id = (select id from account where name = 'east-1')`;
  const seen = async (hoursAgo: number) => {
    await db`
      insert into device (id, account_id, token, platform, state, scep_challenge, last_seen_at)
      select gen_random_uuid(), id, name || ${hoursAgo}, 'apple', 'active', 'c', now() - make_interval(hours => ${hoursAgo})
        from account where name = 'east-1'`;
    return (await read()).accounts;
  };
  assert.deepEqual(await seen(30), { all: 1, heard: 1, unheard: [], away: 1 });
  assert.deepEqual(await seen(2), { all: 2, heard: 1, unheard: ['east-1'], away: 0 });
  await db`update account set instance_id = ${east.id} where name = 'east-1'`;
});

test('nothing counts that lies before a resumed wave, and no sample is an empty one', async () => {
  await db.begin((tx) => reopenWaves(tx, id));
  const figures = await read();
  assert.deepEqual(figures.moved, []);
  assert.deepEqual(figures.deliveries, { done: 2, failed: 0, silent: 1, open: 0, missing: 0, excused: 0 });
  assert.deepEqual(
    figures.interruptions.map(({ cause }) => cause),
    ['away'],
  );
});
