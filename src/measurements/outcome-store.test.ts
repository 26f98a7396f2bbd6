/** What routers tell of requests: by account, once, whichever instance dies over it; later by hour, and in the end gone. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { seedDevice, seedDomain } from '../devices/device-fixture.ts';
import type { OutcomeReport, RequestOutcome } from '../link/messages.ts';
import { silentLogger } from '../process/log/logger.ts';
import { createMeasurementUpkeep } from './measurement-upkeep.ts';
import { countOutcomes, gatherIntoHours } from './outcome-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
const other = openDatabase(url, { applicationName: 'other-instance', max: 2 });
after(async () => await Promise.all([db.end(), other.end()]));
const limited = { timeout: 60_000 };
const { here, there } = await seedDomain(db);
const ada = await seedDevice(db, here, 'ada');
const bob = await seedDevice(db, there, 'bob');

const report = (sequence: number, outcomes: RequestOutcome[], change: Partial<OutcomeReport> = {}): OutcomeReport => ({
  ...{ router: 'router-1', run: randomUUID(), sequence, agoMs: 10_000, outcomes },
  ...change,
});
const outcome = (token: string, change: Partial<RequestOutcome> = {}): RequestOutcome => ({
  ...{ token, identifier: 'S10000001', failed: false, latencyMs: 5 },
  ...change,
});
const counted = async (accountId: string) =>
  (
    await db`
      select instance_id, seconds, router, sum(requests)::int as requests, sum(failed)::int as failed,
             histogram_sum(latency) as latency
        from request_outcome where account_id = ${accountId} group by 1, 2, 3 order by 2, 1`
  ).map((row) => ({ ...row }));
const forget = () => db`delete from request_outcome`;

test('outcomes are counted for account and instance, failed ones without a latency; unknown tokens are left out', async () => {
  await countOutcomes(
    db,
    report(1, [
      outcome(ada.token),
      outcome(bob.token, { failed: true, latencyMs: 30_000 }),
      outcome(bob.token, { identifier: null, latencyMs: 0 }),
      outcome('nobody’s'),
    ]),
    'key',
  );
  const row = { seconds: 10, router: 'router-1', requests: 1 };
  assert.deepEqual(await counted(ada.accountId), [{ ...row, instance_id: here, failed: 0, latency: [0, 0, 0, 0, 1] }]);
  assert.deepEqual(
    new Set(await counted(bob.accountId)),
    new Set([
      { ...row, instance_id: here, failed: 1, latency: [] },
      { ...row, instance_id: there, failed: 0, latency: [1] },
    ]),
  );
  const [bucket] = await db`
    select bool_and(bucket = date_bin('10 seconds', bucket, 'epoch') and bucket > now() - interval '60 seconds') as aligned
      from request_outcome`;
  assert.equal(bucket?.['aligned'], true);
  await forget();
});

test('a report that comes again is acknowledged and not counted, nor one that was overtaken', limited, async () => {
  const { run } = report(1, []);
  const tell = (sequence: number, key = 'key') =>
    countOutcomes(db, report(sequence, [outcome(ada.token)], { run }), key);
  assert.equal(await tell(1), 'counted');
  assert.equal(await tell(1), 'counted-before');
  assert.equal(await tell(3), 'counted');
  assert.equal(await tell(2), 'counted-before');
  assert.equal(await tell(3, 'another router’s key'), 'counted');
  assert.equal((await counted(ada.accountId))[0]?.['requests'], 3);
  await forget();
});

test(
  'an instance that dies over a report leaves it to the next; one that is only slow is waited for',
  limited,
  async () => {
    const told = report(1, [outcome(ada.token)]);
    // The session of the first instance ends before its commit.
    await assert.rejects(
      other.begin(async (tx) => {
        await tx`insert into outcome_report (router_key, run, sequence) values ('key', ${told.run}, 1)`;
        await tx`select pg_terminate_backend(pg_backend_pid())`;
      }),
    );
    assert.equal(await countOutcomes(db, told, 'key'), 'counted');

    const again = { ...told, sequence: 2 };
    const second = await other.begin(async (tx) => {
      await tx`update outcome_report set sequence = 2 where run = ${told.run}`;
      const waiting = watched(countOutcomes(db, again, 'key'));
      await untilOneWaits(other, waiting.settled);
      return [waiting.result];
    });
    assert.deepEqual(await Promise.all(second), ['counted-before']);
    assert.equal((await counted(ada.accountId))[0]?.['requests'], 1, 'the slow one had counted the second');
    await forget();
  },
);

test(
  'old rows of ten seconds become one of their hour, with nothing lost; rivals add to the same',
  limited,
  async () => {
    await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select ${ada.accountId}, ${here}, date_bin('1 hour', now(), 'epoch') - interval '9 hours' + n * interval '10 seconds',
           'router-' || n % 2, 2, 1, case when n % 2 = 0 then '{1}'::int[] else '{0,0,1}' end
      from generate_series(0, 359) n`;
    await countOutcomes(db, report(1, [outcome(ada.token)]), 'key');
    const gathered = await Promise.all([gatherIntoHours(db, 6, 100), gatherIntoHours(other, 6, 100)]);
    assert.deepEqual(gathered, [100, 100]);
    assert.equal(await gatherIntoHours(db, 6, 1000), 160);
    assert.equal(await gatherIntoHours(db, 6, 1000), 0);
    assert.deepEqual(await counted(ada.accountId), [
      { instance_id: here, seconds: 10, router: 'router-1', requests: 1, failed: 0, latency: [0, 0, 0, 0, 1] },
      { instance_id: here, seconds: 3600, router: '', requests: 720, failed: 360, latency: [180, 0, 180] },
    ]);
  },
);

test('what is old is trimmed, what is young stays; an account takes its outcomes along', limited, async () => {
  await db`
    insert into request_outcome (account_id, instance_id, bucket, seconds, router, requests, failed, latency)
    select ${bob.accountId}, ${there}, now() - n * interval '1 day', 3600, '', 1, 0, '{1}' from unnest('{1,15}'::int[]) n`;
  await db`
    insert into request_sample (instance_id, account_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    select ${there}, ${bob.accountId}, now() - n * interval '1 day', 1, 0, 1, 1 from unnest('{1,15}'::int[]) n`;
  await db`
    insert into component_interruption (name, kind, release, at, cause)
    select 'there', 'server', '1.2.0', now() - n * interval '1 day', 'exit' from unnest('{1,31}'::int[]) n`;
  await db`update outcome_report set counted_at = now() - interval '2 days' where router_key = 'another router’s key'`;
  await createMeasurementUpkeep({ db, clock: systemClock, log: silentLogger }).turn();
  assert.equal((await counted(bob.accountId)).length, 1);
  const left = async (table: string) => (await db`select 1 from ${db(table)}`).length;
  assert.deepEqual([await left('request_sample'), await left('component_interruption')], [1, 1]);
  assert.equal((await db`select 1 from outcome_report where router_key = 'another router’s key'`).length, 0);
  assert.ok((await left('outcome_report')) > 0);
  await db`delete from account where id = ${bob.accountId}`;
  assert.equal((await counted(bob.accountId)).length, 0);
});
