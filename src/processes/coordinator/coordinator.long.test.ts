import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBrambleError } from '../../base/errors.ts';
import { assignAccount } from '../../upgrade/operations/account-assignment.ts';
import {
  finalizeByOperator,
  pauseByOperator,
  resumeByOperator,
  reverseByOperator,
  startUpgrade,
} from '../../upgrade/operations/operator-actions.ts';
import { readUpgradeReport } from '../../upgrade/report/report.ts';
import { reportText } from '../../upgrade/report/report-text.ts';
import { takeLease } from '../../upgrade/state/upgrade-store.ts';
import { insertTestProcess } from '../../upgrade/steps/domain-fixture.ts';
import { countAt, endUnasked, operator, scene, until } from '../../upgrade/steps/scene-fixture.ts';
import { stepTransaction, UpgradeChanged, type UpgradeEffects } from '../../upgrade/steps/step-context.ts';
import { stepOnce } from './coordinator.ts';

test('an upgrade goes from planned to done: waves through their gates, then finalized by an operator’s word', async () => {
  const it = await scene();
  const context = it.context('one');
  const soaking = await until(it, context, ['soaking']);
  assert.equal(await countAt(it.db, '%-1-1'), 6);
  assert.equal(soaking.progress.newInstances.length, 2);
  const [domain] = await it.db`select release, feature_level from domain`;
  assert.deepEqual({ ...domain }, { release: '1.1.0', feature_level: '1.0.0' });
  for (let round = 0; round < 5; round++) await stepOnce(context);
  assert.equal((await it.upgrade()).state, 'soaking', 'it never finalizes by itself');

  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  const [after_] = await it.db`select release, feature_level from domain`;
  assert.deepEqual({ ...after_ }, { release: '1.1.0', feature_level: '1.1.0' });
  assert.equal((await it.db`select 1 from component where release <> '1.1.0'`).length, 0);
  assert.equal((await it.db`select 1 from desired_process where kind = 'coordinator'`).length, 0);
  await assert.rejects(
    it.db.begin((tx) => reverseByOperator(tx, operator)),
    (error) => isBrambleError(error, 'ERR_UPGRADE_NONE'),
  );
});

test('a new instance that answers 500 to its canaries pauses the upgrade by itself, and nothing more moves', async () => {
  const it = await scene({ canaries: ['east-0'] });
  const paused = await until(it, it.context('one'), ['paused'], { errors: true });
  assert.match(paused.pauseReason ?? '', /gate of wave 1 .*fail/);
  assert.equal(await countAt(it.db, '%-1-1'), 1);
  for (let round = 0; round < 5; round++) {
    await stepOnce(it.context('one'));
    await it.world({ errors: true });
  }
  assert.equal(await countAt(it.db, '%-1-1'), 1);
});

test('a new instance that ends again and again pauses the upgrade, though every request that reaches it is answered', async () => {
  const it = await scene({ canaries: ['east-0'], soakSeconds: 3600 });
  const context = it.context('one');
  await until(it, context, ['moving']);
  while ((await countAt(it.db, '%-1-1')) === 0) {
    await stepOnce(context);
    await it.world();
  }
  await endUnasked(it.db, 'east-1-1', 3);
  const paused = await until(it, context, ['paused']);
  assert.match(
    paused.pauseReason ?? '',
    /gate of wave 1 .*fail: .*exited unexpectedly or lost their lease \d times \(east-1-1: exit/,
  );
});

test('a sample that stays too small pauses the upgrade as undecided; the operator can answer for it', async () => {
  const it = await scene({ canaries: ['east-0'], gate: { patienceSeconds: 0 } });
  const paused = await until(it, it.context('one'), ['paused'], { silent: true });
  assert.match(paused.pauseReason ?? '', /undecided: needs \d+ more good samples/);
  await it.db.begin((tx) => resumeByOperator(tx, { ...operator, acceptGate: true }));
  const again = await until(it, it.context('one'), ['paused'], { silent: true });
  assert.match(again.pauseReason ?? '', /wave 2/);
});

test('reversed in the middle, every account is back, the new instances are gone and the old release administers', async () => {
  const it = await scene({ canaries: ['east-0', 'west-0'] });
  const context = it.context('one');
  await until(it, context, ['moving']);
  while ((await countAt(it.db, '%-1-1')) === 0) {
    await stepOnce(context);
    await it.world();
  }
  await it.db`
    insert into account (id, name, display_name, instance_id)
    select gen_random_uuid(), 'latecomer', 'latecomer', id from instance where name = 'east-1-1'`;
  // Home is where it came from, not what its present instance stands for.
  await it.db`
    update account set epoch = epoch + 1, instance_id = (select id from instance where name = 'east-1-1')
     where name = 'west-0'`;
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, context, ['reversed']);
  const homes = await it.db<{ account: string; instance: string }[]>`
    select a.name as account, i.name as instance from account a join instance i on i.id = a.instance_id order by 1`;
  assert.deepEqual(
    homes.map(({ account, instance }) => `${account} at ${instance}`),
    [
      ...['east-0', 'east-1', 'east-2'].map((account) => `${account} at east`),
      // Created meanwhile at the new instance: it goes to the counterpart.
      'latecomer at east',
      ...['west-0', 'west-1', 'west-2'].map((account) => `${account} at west`),
    ],
  );
  const [domain] = await it.db`select release, feature_level from domain`;
  assert.deepEqual({ ...domain }, { release: '1.0.0', feature_level: '1.0.0' });
  assert.equal((await it.db`select 1 from component where name like '%-1-1' or release <> '1.0.0'`).length, 0);
  assert.equal((await it.db`select 1 from srp_credential where revoked_at is null`).length, 0);
  assert.equal((await it.db`select 1 from connection_service`).length, 2);
});

test('paused by hand nothing starts; resumed it goes on, and accounts created meanwhile join the last wave', async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['moving']);
  await stepOnce(context);
  await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
  assert.equal((await it.db`select 1 from move_batch where state = 'running'`).length, 0);
  await it.world();
  await stepOnce(context);
  assert.equal(await countAt(it.db, '%-1-1'), 0);
  await it.db`
    insert into account (id, name, display_name, instance_id)
    select gen_random_uuid(), 'latecomer', 'latecomer', id from instance where name = 'west'`;
  await it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'west-2', instance: 'east-1-1' }));
  await it.db.begin((tx) => resumeByOperator(tx, operator));
  await until(it, context, ['soaking']);
  assert.equal(await countAt(it.db, 'east-1-1'), 4);
  assert.equal(await countAt(it.db, 'west-1-1'), 3);
});

test('a wave in an unexpected state pauses the upgrade with the reason, and after a resume it goes on', async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['moving']);
  await it.db`update upgrade_wave set state = 'failed' where number = 1`;
  const paused = await until(it, context, ['paused']);
  assert.match(paused.pauseReason ?? '', /^wave 1 cannot become soaking/);
  await it.db.begin((tx) => resumeByOperator(tx, operator));
  await until(it, context, ['soaking']);
});

test('a step that was decided before the same state came again does nothing', async () => {
  const it = await scene();
  const context = it.context('one');
  const decided = await until(it, context, ['moving']);
  await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
  await it.db.begin((tx) => resumeByOperator(tx, operator));
  await takeLease(it.db, decided.id, 'one');
  assert.equal((await it.upgrade()).state, 'moving');
  let done = false;
  const step = stepTransaction(context, 'late', decided, async () => {
    done = true;
  });
  await assert.rejects(step, UpgradeChanged);
  assert.equal(done, false);
});

test('two coordinators behave as one: while one holds the lease the other stands by, and a late one commits nothing', async () => {
  const it = await scene();
  const first = it.context('first');
  await stepOnce(first);
  assert.equal((await stepOnce(it.context('second'))).kind, 'standby');
  const before = await it.upgrade();
  const late = it.context('first', {
    effects: {
      ...first.effects,
      // While it is in the middle of a step, its lease runs out and the other one takes over.
      check: async () => {
        await it.db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
        assert.notEqual((await stepOnce(it.context('second'))).kind, 'standby');
        return [{ name: 'everything', result: 'error', message: '' }];
      },
      expand: async () => {
        await it.db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
        assert.notEqual((await stepOnce(it.context('second'))).kind, 'standby');
        return 99;
      },
    },
  });
  assert.equal(before.state, 'checked');
  await until(it, first, ['admin-fenced']);
  assert.equal((await stepOnce(late)).kind, 'standby');
  const events = await it.db`select message from upgrade_event where message like 'the schema is expanded%'`;
  assert.deepEqual(
    events.map((event) => event['message']),
    ['the schema is expanded to 7'],
  );
});

test('checks that fail stop the upgrade before anything is changed; a warning can be overridden by name', async () => {
  const it = await scene();
  const effects: UpgradeEffects = {
    ...it.context('one').effects,
    check: async () => [{ name: 'backup', result: 'warning', message: 'none was verified' }],
  };
  const context = it.context('one', { effects });
  await stepOnce(context);
  assert.deepEqual([(await it.upgrade()).state, (await it.upgrade()).progress.step.at], ['planned', 'to-start']);
  await it.db.begin((tx) => startUpgrade(tx, { ...operator, host: 'here', overrides: ['backup'] }));
  await stepOnce(context);
  assert.equal((await it.upgrade()).state, 'checked');
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  assert.equal((await it.upgrade()).state, 'cancelled');
});

test('each overridden warning keeps who overrode it and when, while its check warns', async () => {
  const it = await scene();
  let warning = ['backup', 'clocks'];
  const effects: UpgradeEffects = {
    ...it.context('one').effects,
    check: async () =>
      ['backup', 'clocks', 'losses'].map((name) => {
        return { name, result: warning.includes(name) ? 'warning' : 'passed', message: `about ${name}` };
      }),
  };
  const start = async (by: string, ...overrides: string[]) => {
    await it.db.begin((tx) => startUpgrade(tx, { by, host: 'here', overrides }));
    await stepOnce(it.context('one', { effects }));
    const { checks = [], startedAt } = (await it.upgrade()).progress;
    const how = checks.map(({ name, result, overriddenBy: by }) => [name, result, ...(by === undefined ? [] : [by])]);
    return { how, startedAt, checks };
  };
  const first = await start('ada', 'backup');
  assert.deepEqual(first.how, [
    ['backup', 'overridden', 'ada'],
    ['clocks', 'warning'],
    ['losses', 'passed'],
  ]);
  assert.equal(first.checks[0]?.overriddenAt, first.startedAt);
  warning = ['backup', 'clocks', 'losses'];
  assert.deepEqual((await start('bea', 'clocks')).how, [
    ['backup', 'overridden', 'ada'],
    ['clocks', 'overridden', 'bea'],
    ['losses', 'warning'],
  ]);
  warning = ['clocks', 'losses'];
  await start('bea');
  warning = ['backup', 'clocks', 'losses'];
  const last = await start('bea', 'losses');
  assert.deepEqual(last.how[0], ['backup', 'warning'], 'what passed meanwhile is decided anew');
  const done = await start('cy', 'backup');
  assert.deepEqual(
    done.how.map(([, , by]) => by),
    ['cy', 'bea', 'bea'],
  );
  assert.equal((await it.upgrade()).state, 'checked');
  const text = reportText(await readUpgradeReport(it.db, await it.upgrade(), []));
  assert.match(text, /^ {2}overridden clocks: about clocks \(overridden by bea, \d{4}-.*\)$/m);
});

test('cancelled after the administration services were told to stop, they are wanted again', async () => {
  const it = await scene();
  const context = it.context('one');
  await stepOnce(context);
  await stepOnce(context);
  assert.equal(
    (await it.db`select 1 from desired_process where kind = 'administration' and state = 'stopped'`).length,
    1,
  );
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  assert.equal(
    (await it.db`select 1 from desired_process where kind = 'administration' and state = 'running'`).length,
    1,
  );
});

test('an absent component of the old release blocks finalizing by name until it is forgotten', async () => {
  const it = await scene();
  const context = it.context('one');
  await insertTestProcess(it.db, { name: 'lost-router', kind: 'router', release: '1.0.0' });
  await it.db`delete from desired_process where name = 'lost-router'`;
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  for (let round = 0; round < 20; round++) {
    await stepOnce(context);
    await it.world();
  }
  assert.match((await it.upgrade()).progress.waitingFor ?? '', /lost-router .*component forget lost-router/);
  await it.db`delete from component where name = 'lost-router'`;
  await until(it, context, ['done']);
});

test('with `retire` the emptied instances are taken away when finalizing', async () => {
  const it = await scene({ oldInstances: 'retire' });
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  const left = await it.db`select name from instance where retired_at is null order by name`;
  assert.deepEqual(
    left.map((row) => row['name']),
    ['east-1-1', 'west-1-1'],
  );
  assert.equal((await it.db`select 1 from component where name in ('east', 'west', 'east-mds', 'west-mds')`).length, 0);
});
