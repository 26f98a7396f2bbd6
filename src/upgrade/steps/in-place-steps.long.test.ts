/** A patch in place: who is replaced when, what a gate judges, and the way back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { finalizeByOperator, resumeByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { readUpgradeReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import { listUpgradeEvents } from '../state/upgrade-store.ts';
import { listWaves } from '../state/wave-store.ts';
import { insertTestInstance } from './domain-fixture.ts';
import { endUnasked, operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 120_000 };
const patch = async (options: object = {}) => await scene(options, '1.0.1');

async function releases({ db }: Scene): Promise<Record<string, string>> {
  const rows = await db<{ name: string; release: string }[]>`
    select name, release from component where kind <> 'coordinator' order by name`;
  return Object.fromEntries(rows.map(({ name, release }) => [name, release]));
}

const everything = (release: string) =>
  Object.fromEntries(['admin', 'east', 'east-mds', 'router', 'west', 'west-mds'].map((name) => [name, release]));

async function domainOf({ db }: Scene) {
  const [row] = await db`select release, feature_level as level, schema_version as schema from domain`;
  return { ...row };
}

/** Nothing was added, moved or sent on the way. */
async function assertNothingMoved({ db }: Scene): Promise<void> {
  const [row] = await db`
    select (select count(*) from instance)::int as instances, (select count(*) from srp_credential)::int as credentials,
           (select count(*) from account_move)::int as moves, (select count(*) from delivery)::int as deliveries,
           (select max(epoch) from account)::int as epoch`;
  assert.deepEqual({ ...row }, { instances: 2, credentials: 0, moves: 0, deliveries: 0, epoch: 1 });
}

test('a patch replaces every process under its own name, one at a time, and raises nothing', limited, async () => {
  const it = await patch();
  const context = it.context('one');
  const before = await domainOf(it);
  const behind = new Set<string>();
  for (let round = 0; round < 200 && (await it.upgrade()).state !== 'soaking'; round++) {
    await stepOnce(context);
    const rows = await it.db<{ name: string }[]>`
      select p.name from desired_process p join component c on c.name = p.name
       where p.release <> c.release and p.kind in ('router', 'server', 'connection')`;
    assert.ok(rows.length <= 1, `at once: ${rows.map(({ name }) => name).join(', ')}`);
    for (const { name } of rows) behind.add(name);
    await it.world();
  }
  assert.deepEqual([...behind], ['router', 'east', 'east-mds', 'west', 'west-mds']);
  assert.deepEqual(await releases(it), everything('1.0.1'));
  const waves = await listWaves(it.db, (await it.upgrade()).id);
  assert.deepEqual(
    waves.map(({ name, state }) => `${name} ${state}`),
    ['east passed', 'west passed'],
  );
  const report = await readUpgradeReport(it.db, await it.upgrade(), []);
  assert.deepEqual(
    report.waves.map(({ settled, accounts }) => `${settled} of ${accounts}`),
    ['3 of 3', '3 of 3'],
  );
  assert.match(
    reportText(report),
    /no account moves: each instance is replaced in place; still at 1\.0\.0: 0\n.*east on here, wave 1: since [^,]+, running since/s,
  );
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  assert.deepEqual(await domainOf(it), { ...before, release: '1.0.1' });
  await assertNothingMoved(it);
});

test(
  'a patch that answers 500 fails the gate of its first instance, and every process goes back',
  limited,
  async () => {
    const it = await patch({ gate: { baselineHours: 1 } });
    const context = it.context('one');
    const { pauseReason } = await until(it, context, ['paused'], { errors: true });
    assert.match(pauseReason ?? '', /the gate of wave 1 \(east\) says fail: .*requests failed/);
    const { west } = await releases(it);
    assert.equal(west, '1.0.0', 'the others are as they were');
    await it.db.begin((tx) => reverseByOperator(tx, operator));
    await until(it, context, ['reversed']);
    assert.deepEqual(await releases(it), everything('1.0.0'));
    assert.equal((await domainOf(it))['release'], '1.0.0');
    await assertNothingMoved(it);
  },
);

test('an instance whose patched process ends again and again fails its gate', limited, async () => {
  const it = await patch({ soakSeconds: 600 });
  const context = it.context('one');
  await until(it, context, ['moving']);
  for (let round = 0; round < 50 && (await releases(it))['east'] !== '1.0.1'; round++) {
    await stepOnce(context);
    await it.world({ silent: true });
  }
  await endUnasked(it.db, 'east', 2);
  const { pauseReason } = await until(it, context, ['paused'], { silent: true });
  assert.match(pauseReason ?? '', /exited unexpectedly or lost their lease 2 times \(east: exit\)/);
});

test(
  'a process that does not come pauses the upgrade by name, and the next resume gives it its time again',
  limited,
  async () => {
    const it = await patch();
    const context = it.context('one');
    await until(it, context, ['moving']);
    for (let round = 0; round < 4; round++) await stepOnce(context);
    assert.match(
      (await it.upgrade()).progress.waitingFor ?? '',
      /east of 1\.0\.1 on here; 1\.0\.0 serves until it is ready/,
    );
    const tooLong = async () => {
      await it.db`update desired_process set changed_at = changed_at - interval '1 hour'`;
      await it.db`update upgrade set updated_at = updated_at - interval '1 hour'`;
    };
    await tooLong();
    await stepOnce(context);
    const { state, pauseReason } = await it.upgrade();
    assert.equal(state, 'paused');
    assert.match(pauseReason ?? '', /east of 1\.0\.1 is not running on here after 120 s/);
    await it.db.begin((tx) => resumeByOperator(tx, operator));
    await stepOnce(context);
    assert.equal((await it.upgrade()).state, 'moving');
    await until(it, context, ['soaking']);
  },
);

test(
  'a process that does not come because its host is away is waited for, and then has all of its time',
  limited,
  async () => {
    const it = await patch();
    const context = it.context('one');
    await until(it, context, ['moving']);
    for (let round = 0; round < 4; round++) await stepOnce(context);
    await it.db`
    insert into supervisor (host, release, process_id, node_version, postgres_server, started_at, seen_at)
    values ('here', '1.0.0', 1, 'v24', '18', now(), now() - interval '1 hour')
    on conflict (host) do update set seen_at = excluded.seen_at`;
    await it.db`update desired_process set changed_at = changed_at - interval '1 hour'`;
    await it.db`update upgrade set updated_at = updated_at - interval '1 hour'`;
    await stepOnce(context);
    const { waitingFor } = (await it.upgrade()).progress;
    assert.equal(waitingFor, 'the supervisor of here to be at work; east of 1.0.1 is started then');
    await it.db`update supervisor set seen_at = now()`;
    await stepOnce(context);
    assert.equal((await it.upgrade()).state, 'moving');
    await until(it, context, ['soaking']);
  },
);

test('a wave of instances without accounts passes, and fails where their processes end unasked', limited, async () => {
  const it = await patch();
  const context = it.context('one');
  await insertTestInstance(it.db, { name: 'north', accounts: 0 });
  await until(it, context, ['soaking']);
  const report = await readUpgradeReport(it.db, await it.upgrade(), []);
  assert.deepEqual(
    report.waves.map(({ name, state, accounts }) => `${name} ${state} ${accounts}`),
    ['east passed 3', 'west passed 3', 'north passed 0'],
  );
  assert.deepEqual(report.waves.at(-1)?.gate?.['reasons'], ['there are no accounts, so there are no requests']);

  const empty = await patch({ soakSeconds: 600 });
  await empty.db`delete from account_epoch`;
  await empty.db`delete from account`;
  const other = empty.context('one');
  await until(empty, other, ['moving']);
  for (
    let round = 0;
    round < 50 && (await listWaves(empty.db, (await empty.upgrade()).id))[0]?.state !== 'soaking';
    round++
  ) {
    await stepOnce(other);
    await empty.world();
  }
  await endUnasked(empty.db, 'east', 2);
  const { pauseReason } = await until(empty, other, ['paused']);
  assert.match(pauseReason ?? '', /^the gate of wave 1 \(east\) says fail: .*exited unexpectedly/);
});

test('a domain without any account is patched without a halt', limited, async () => {
  const it = await patch();
  await it.db`delete from account_epoch`;
  await it.db`delete from account`;
  await until(it, it.context('one'), ['soaking']);
  assert.deepEqual(await releases(it), everything('1.0.1'));
});

test('a reversal goes on without a process that does not come back, and names it to the end', limited, async () => {
  const it = await patch();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  // Nothing is there that could start it in the release before.
  const lost = async () => {
    await it.db`update component set release = '1.0.1' where name = 'east'`;
    await it.db`update desired_process set changed_at = changed_at - interval '1 hour' where name = 'east' and release = '1.0.0'`;
    await it.db`update upgrade set updated_at = updated_at - interval '1 hour'`;
  };
  for (let round = 0; round < 200 && (await it.upgrade()).state !== 'reversed'; round++) {
    await stepOnce(context);
    await it.world();
    await lost();
  }
  const upgrade = await it.upgrade();
  assert.equal(upgrade.state, 'reversed');
  const events = await listUpgradeEvents(it.db, upgrade.id);
  assert.ok(
    events.some(({ message }) =>
      /^continuing with the other processes: east of 1\.0\.0 is not running on here/.test(message),
    ),
  );
  assert.match(events.at(-1)?.message ?? '', /release 1\.0\.0 again; but east has not returned to 1\.0\.0/);
  const report = await readUpgradeReport(it.db, upgrade, []);
  assert.deepEqual(report.notBack, ['east']);
  assert.match(reportText(report), /Not returned\n {2}east has not returned to 1\.0\.0, and may still run 1\.0\.1/);
  await it.db`update component set release = '1.0.0' where name = 'east'`;
  assert.deepEqual((await readUpgradeReport(it.db, upgrade, [])).notBack, []);
});

test('linked counts, not only alive: a process without a link is waited for', limited, async () => {
  const it = await patch();
  const context = it.context('one');
  await until(it, context, ['moving']);
  for (let round = 0; round < 4; round++) await stepOnce(context);
  await it.world();
  await it.db`update component set detail = '{"links": [{"router": "router:3101", "up": false}]}' where name = 'east'`;
  for (let round = 0; round < 4; round++) await stepOnce(context);
  assert.match((await it.upgrade()).progress.waitingFor ?? '', /^east of 1\.0\.1/);

  // One of two routers: its supervisor still waits for the other, and keeps the process before it.
  const links = [
    { router: 'one:3101', up: true, reconnects: 0 },
    { router: 'two:3101', up: false, reconnects: 0 },
  ];
  await it.db`update component set detail = ${it.db.json({ links, serving: false })} where name = 'east'`;
  for (let round = 0; round < 4; round++) await stepOnce(context);
  assert.match((await it.upgrade()).progress.waitingFor ?? '', /^east of 1\.0\.1/);
  await it.db`update component set detail = ${it.db.json({ links, serving: true })} where name = 'east'`;
  for (let round = 0; round < 4; round++) await stepOnce(context);
  assert.doesNotMatch((await it.upgrade()).progress.waitingFor ?? '', /^east of/);
});

test(
  'where a successor fails and the process before it goes on, its wave is waited for again, and not judged',
  limited,
  async () => {
    const it = await patch({ soakSeconds: 600 });
    const context = it.context('one');
    const wave = async () => (await listWaves(it.db, (await it.upgrade()).id))[0]?.state;
    const goOn = async (state: string) => {
      for (let round = 0; round < 50 && (await wave()) !== state; round++) {
        await stepOnce(context);
        await it.world();
      }
      assert.equal(await wave(), state);
    };
    await goOn('soaking');
    await it.db`update component set release = '1.0.0' where name = 'east'`;
    await stepOnce(context);
    assert.equal(await wave(), 'running');
    const [east] = (await it.upgrade()).progress.replacements;
    assert.equal(east?.name, 'east');
    assert.equal(east.atWorkAt, undefined);
    await goOn('soaking');
    assert.notEqual((await it.upgrade()).progress.replacements[0]?.atWorkAt, undefined);
    const events = await listUpgradeEvents(it.db, (await it.upgrade()).id);
    assert.ok(events.some(({ message }) => message === '1.0.0 serves again because its successor failed: east'));
  },
);

test('an instance that comes while others are replaced has a wave of its own', limited, async () => {
  const it = await patch();
  const context = it.context('one');
  await until(it, context, ['moving']);
  await insertTestInstance(it.db, { name: 'north', accounts: 1 });
  await until(it, context, ['soaking']);
  assert.deepEqual(
    (await listWaves(it.db, (await it.upgrade()).id)).map(({ name }) => name),
    ['east', 'west', 'north'],
  );
  assert.equal((await releases(it))['north-mds'], '1.0.1');
});

test('with moves instead, new instances take the accounts over, and still nothing is raised', limited, async () => {
  const it = await patch({ inPlace: false });
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  const { release, level } = (await domainOf(it)) as { release: string; level: string };
  assert.deepEqual([release, level], ['1.0.1', '1.0.0']);
  assert.equal(
    (await it.db`select 1 from account a join instance i on i.id = a.instance_id where i.name in ('east', 'west')`)
      .length,
    0,
  );
});
