/** The plan against the domain: what joins, where it cannot be added, whose name was taken, and who judges it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { assignAccount } from '../operations/account-assignment.ts';
import { finalizeByOperator, resumeByOperator } from '../operations/operator-actions.ts';
import { readUpgradeReport } from '../report/report.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { insertTestInstance, insertTestProcess } from '../steps/domain-fixture.ts';
import { countAt, endUnasked, operator, type Scene, scene, until } from '../steps/scene-fixture.ts';
import type { StepContext } from '../steps/step-context.ts';
import { runChecks } from './checks.ts';

const limited = { timeout: 120_000 };

const resume = async (it: Scene) => await it.db.begin((tx) => resumeByOperator(tx, operator));

/** As a batch of moves of an operator would. */
async function moveAway(it: Scene, from: string, to: string): Promise<void> {
  await it.db`
    update account set epoch = epoch + 1, instance_id = (select id from instance where name = ${to})
     where instance_id = (select id from instance where name = ${from})`;
}

async function putAccount(it: Scene, instance: string, name: string): Promise<void> {
  await it.db`
    insert into account (id, name, display_name, instance_id)
    select gen_random_uuid(), ${name}, ${name}, id from instance where name = ${instance}`;
}

async function untilAt(it: Scene, context: StepContext, instance: string, accounts: number): Promise<void> {
  for (let round = 0; round < 100 && (await countAt(it.db, instance)) < accounts; round++) {
    await stepOnce(context);
    await it.world();
  }
  assert.equal(await countAt(it.db, instance), accounts);
}

test('what came after the plan is compared and checked before anything is changed', limited, async () => {
  const it = await scene();
  await insertTestInstance(it.db, { name: 'north', accounts: 2, host: 'elsewhere' });
  await insertTestInstance(it.db, { name: 'east-1-1', accounts: 0 });
  const options = { db: it.db, host: 'here', release: '1.1.0', databaseUrl: '', home: '', migrations: '' };
  const check = async (upgrade: Upgrade) => {
    const results = await runChecks({ ...options, applicationName: '' }, upgrade);
    return results.filter(({ name }) => name === 'hosts');
  };
  const context = it.context('one');
  for (let look = 0; look < 5; look++) await stepOnce({ ...context, effects: { ...context.effects, check } });
  const { state, plan, progress } = await it.upgrade();
  assert.deepEqual([state, progress.step.at], ['planned', 'to-start']);
  assert.deepEqual(
    plan.instances.map(({ name }) => name),
    ['east-1-1-b', 'west-1-1', 'north-1-1'],
  );
  assert.match(progress.checks?.[0]?.message ?? '', /north-1-1 on elsewhere/);
});

test('an instance that cannot be added pauses by its name, until its accounts are moved away', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['checked']);
  await insertTestInstance(it.db, { name: 'north', accounts: 2, host: 'elsewhere' });
  const paused = await until(it, context, ['paused']);
  assert.equal(paused.pausedFrom, 'expanded');
  assert.match(paused.pauseReason ?? '', /^north-1-1, .* from north, cannot .*elsewhere.*usable: here\..*--from north/);
  await resume(it);
  await until(it, context, ['paused']);
  await moveAway(it, 'north', 'east');
  await resume(it);
  await until(it, context, ['soaking']);
  assert.equal(await countAt(it.db, '%-1-1'), 8);
});

test('while an instance cannot be added, who has moved is watched all the same', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['moving']);
  await stepOnce(context);
  await insertTestInstance(it.db, { name: 'north', accounts: 2, host: 'elsewhere' });
  const failing = await until(it, context, ['paused'], { errors: true });
  assert.match(failing.pauseReason ?? '', /gate of wave 1 .*fail/);
  await it.db`delete from request_outcome where failed > 0`;
  await resume(it);
  const stuck = await until(it, context, ['paused']);
  assert.match(stuck.pauseReason ?? '', /north-1-1, .*cannot be added/);
  await moveAway(it, 'north', 'west');
  await resume(it);
  await until(it, context, ['soaking']);
  await putAccount(it, 'north', 'late');
  for (let look = 0; look < 3; look++) await stepOnce(context);
  const { waits } = await readUpgradeReport(it.db, await it.upgrade(), []);
  assert.match(waits.map(({ why }) => why).join('\n'), /^north-1-1, .*cannot be added/m);
  await endUnasked(it.db, 'east-1-1', 2);
  await until(it, context, ['paused']);
  assert.match((await it.upgrade()).pauseReason ?? '', /after the waves: .*east-1-1: exit/);
});

test('finalizing waits for accounts at an instance that cannot be added, and says what to do', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await insertTestInstance(it.db, { name: 'north', accounts: 1, host: 'elsewhere' });
  for (let look = 0; look < 3; look++) await stepOnce(context);
  assert.match((await it.upgrade()).progress.waitingFor ?? '', /release: north \(1\); north-1-1, .*--from north/);
  await moveAway(it, 'north', 'east-1-1');
  await until(it, context, ['done']);
});

test('a planned name that was taken meanwhile gives way to a free one, also for who is assigned', limited, async () => {
  const it = await scene();
  await it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'east-1', instance: 'west-1-1' }));
  const context = it.context('one');
  await until(it, context, ['checked']);
  await insertTestInstance(it.db, { name: 'west-1-1', accounts: 0 });
  await insertTestProcess(it.db, { name: 'east-mds-1-1', kind: 'connection', release: '1.0.0' });
  await until(it, context, ['soaking']);
  const said = await it.db<{ message: string }[]>`
    select message from upgrade_event where message like 'taken meanwhile%' order by id`;
  assert.deepEqual(
    said.map(({ message }) => message),
    [
      'taken meanwhile: east-mds-1-1; for east comes east-1-1 with east-mds-1-1-b',
      'taken meanwhile: west-1-1; for west comes west-1-1-b with west-mds-1-1',
    ],
  );
  assert.deepEqual([await countAt(it.db, 'west-1-1-b'), await countAt(it.db, 'east-1-1')], [4, 2]);
});

test('an instance that joins after the last wave has a wave of its own, and a gate', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await insertTestInstance(it.db, { name: 'north', accounts: 2 });
  await until(it, context, ['moving']);
  const paused = await until(it, context, ['paused'], { errors: true });
  assert.match(paused.pauseReason ?? '', /gate of wave 3 \(north\) says fail/);
  await it.db`delete from request_outcome where failed > 0`;
  await resume(it);
  await until(it, context, ['soaking']);
  assert.equal(await countAt(it.db, 'north-1-1'), 2);
  await putAccount(it, 'north', 'late');
  await untilAt(it, context, 'north-1-1', 3);
  assert.equal((await it.upgrade()).state, 'soaking', 'a gate has judged the instance: who comes now follows');
});

test('moves after the last wave that fail pause it, and are tried again when it is resumed', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await putAccount(it, 'east', 'late');
  await stepOnce(context);
  const { count } = await it.db`
    update account_move set state = 'rolled-back', closed_at = clock_timestamp()
     where account_id = (select id from account where name = 'late')`;
  assert.equal(count, 1);
  await stepOnce(context);
  const paused = await it.upgrade();
  assert.deepEqual([paused.state, paused.pausedFrom], ['paused', 'soaking']);
  assert.match(paused.pauseReason ?? '', /1 account that came meanwhile could not be moved/);
  await resume(it);
  await untilAt(it, context, 'east-1-1', 4);
});

test('an instance without a wanted process is where it registered from, or else on this host', limited, async () => {
  const it = await scene();
  for (const name of ['known', 'unknown']) {
    await insertTestInstance(it.db, { name, accounts: 1, host: 'elsewhere' });
    await it.db`delete from desired_process where name like ${`${name}%`}`;
  }
  await it.db`delete from component where name like 'unknown%'`;
  await it.db`update upgrade set plan = plan || '{"instances": []}'`;
  await stepOnce(it.context('one'));
  const { plan } = await it.upgrade();
  assert.deepEqual(
    plan.instances.map(({ replaces, host }) => `${replaces} on ${host}`),
    ['east on here', 'known on elsewhere', 'unknown on here', 'west on here'],
  );
});
