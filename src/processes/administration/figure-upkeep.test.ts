/** Figures of each minute come from what instances and routers measure, once, whoever was away meanwhile. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { figureOperations } from '../../api/figures.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { systemClock } from '../../base/clock.ts';
import type { InstanceId } from '../../base/ids.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';
import { createFigureUpkeep } from './figure-upkeep.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
after(async () => await admin.close());
const { db } = admin;
const [one] = await db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
assert.ok(one);
const { accountId } = await seedDevice(db, one.id, 'ada');
const upkeep = createFigureUpkeep({ db, release: admin.context.release, clock: systemClock, log: silentLogger });
const minutesAgo = async (minutes: number): Promise<Date> => {
  const [row] = await db<{ at: Date }[]>`select date_trunc('minute', now()) - make_interval(mins => ${minutes}) as at`;
  assert.ok(row);
  return row.at;
};
/** As instances of 1.4 write them. */
const sample = async (at: Date, requests: number, errors = 0) =>
  await db`
    insert into request_sample (instance_id, account_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    values (${one.id}, ${accountId}, ${at}, ${requests}, ${errors}, 1, 1)`;
const outcome = async (at: Date, router: string, latency: number[], failed = 0) =>
  await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    values (${accountId}, ${one.id}, ${at}, ${router}, ${latency.reduce((sum, n) => sum + n, failed)}, ${failed}, ${latency})`;
const countAll = async () => {
  while (await upkeep.step());
};
type Answer = AnswerOf<typeof figureOperations.show>;
const ask = async (query: string): Promise<Answer> => {
  const { status, body } = await admin.call('GET', `/figures?${query}`);
  assert.equal(status, 200, JSON.stringify(body));
  return figureOperations.show.answer.parse(body);
};
const pointAt = ({ series }: Answer, subject: string, at: Date) =>
  series.find((each) => each.subject === subject)?.points.find((each) => each.at.getTime() === at.getTime());

test('a minute has what instances and routers counted in it, and how deliveries stood', limited, async () => {
  const at = await minutesAgo(5);
  await sample(at, 3);
  await sample(new Date(at.getTime() + 50_000), 4, 1);
  await sample(new Date(at.getTime() + 60_000), 9);
  await outcome(at, 'router-1', [0, 2, 2]);
  await outcome(new Date(at.getTime() + 10_000), 'router-2', [0, 0, 0, 0, 6], 2);
  await db`insert into delivery_permit (scope, number, delivery_id) values ('domain', 1, ${randomUUID()}), ('domain', 2, null)`;
  await countAll();
  const subjects = 'domain,instance:one,instance:two,router:router-1,router:router-2';
  const answer = await ask(`subjects=${subjects}`);
  assert.deepEqual(answer.stepMinutes, 1);
  assert.deepEqual(answer.subjects.toSorted(), subjects.split(',').toSorted());
  const domain = pointAt(answer, 'domain', at);
  assert.deepEqual([domain?.connects, domain?.errors, domain?.requests, domain?.failed], [7, 1, 12, 2]);
  assert.ok(domain?.p50Ms && domain.p95Ms && domain.p50Ms < domain.p95Ms, 'merged from both routers');
  assert.equal(pointAt(answer, 'instance:one', at)?.connects, 7);
  const router = pointAt(answer, 'router:router-1', at);
  assert.deepEqual([router?.requests, router?.failed, router?.connects], [4, 0, null]);
  const last = pointAt(answer, 'domain', await minutesAgo(1));
  assert.deepEqual(
    [last?.connects, last?.inFlight, last?.budget],
    [0, 1, 2],
    'a minute in which nothing happened has a point',
  );
});

test('what comes late is counted, and nothing is counted twice', limited, async () => {
  const at = await minutesAgo(11);
  const before = pointAt(await ask('subjects=domain'), 'domain', at);
  assert.equal(before?.requests, 0);
  await outcome(at, 'router-1', [5]);
  await db`delete from figure_minute where minute >= ${await minutesAgo(1)}`;
  await countAll();
  await countAll();
  assert.equal(pointAt(await ask('subjects=domain'), 'domain', at)?.requests, 5);
});

test('what a fence held up is made up for, as far as it is still known', limited, async () => {
  await db`delete from figure_minute`;
  const [known, lost] = [await minutesAgo(300), await minutesAgo(420)];
  await sample(known, 8);
  await sample(lost, 8);
  await countAll();
  const answer = await ask(`from=${(await minutesAgo(460)).toISOString()}&subjects=domain`);
  assert.equal(answer.stepMinutes, 5, 'so that a chart has few enough points');
  const sum = answer.series[0]?.points.reduce((total, { connects }) => total + (connects ?? 0), 0);
  assert.equal(sum, 8 + 7 + 9);
});

test('one service counts at a time, and one of another release not at all', limited, async () => {
  await db`delete from figure_minute`;
  await db.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${0x6272616d}, 9)`;
    assert.equal(await upkeep.step(), false);
  });
  assert.equal((await db`select 1 from figure_minute`).length, 0);
  const foreign = createFigureUpkeep({ db, release: '0.9.0', clock: systemClock, log: silentLogger });
  await assert.rejects(foreign.step(), { code: 'ERR_RELEASE_FENCED' });
});

test('bramble shows them as small charts', limited, async () => {
  await countAll();
  const { code, output } = await runBramble(admin, ['figures', '--last', '6h']);
  assert.equal(code, 0);
  assert.match(output, /domain, by minute/);
  assert.match(output, /connects +\d+ +9 +[▁▂▃▄▅▆▇█ ]+\n/);
  assert.match(output, /There are figures of .*router:router-1/);
  assert.equal((await runBramble(admin, ['figures', '--last', 'long'])).code, 2);
});

test('figures are kept for 30 days', limited, async () => {
  await db`
    insert into figure_minute (minute, subject) values
      (date_trunc('minute', now()) - interval '31 days', 'domain'), (date_trunc('minute', now()) - interval '29 days', 'domain')`;
  await db`delete from figure_minute where minute >= ${await minutesAgo(1)}`;
  await countAll();
  const [row] = await db<{ old: number }[]>`
    select count(*)::int as old from figure_minute where minute < now() - interval '28 days'`;
  assert.equal(row?.old, 1);
});

test('a wrong span or too many subjects are refused', limited, async () => {
  const now = new Date().toISOString();
  const wrong = [
    `from=${now}&to=${now}`,
    'from=2020-01-01T00:00:00Z',
    'from=yesterday',
    `subjects=${Array.from({ length: 21 }, (_, number) => `instance:${number}`).join(',')}`,
  ];
  for (const query of wrong) {
    const { status, body } = await admin.call('GET', `/figures?${query}`);
    assert.deepEqual([status, codeOf(body)], [400, 'ERR_INPUT'], query);
  }
});
