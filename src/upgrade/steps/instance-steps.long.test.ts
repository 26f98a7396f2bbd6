/** What the plan does not know: instances and accounts that came after it was made, and instances that went. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { assignAccount } from '../operations/account-assignment.ts';
import { finalizeByOperator, pauseByOperator, resumeByOperator, startUpgrade } from '../operations/operator-actions.ts';
import { readUpgradeReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import { insertTestInstance } from './domain-fixture.ts';
import { countAt, operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 60_000 };

async function messages(it: Scene, pattern: RegExp): Promise<string[]> {
  const rows = await it.db<{ message: string }[]>`select message from upgrade_event order by id`;
  return rows.map(({ message }) => message).filter((message) => pattern.test(message));
}

async function putAccount(it: Scene, instance: string, name: string): Promise<void> {
  await it.db`
    insert into account (id, name, display_name, instance_id)
    select gen_random_uuid(), ${name}, ${name}, id from instance where name = ${instance}`;
}

test('an instance that was added after the plan joins by name, and its accounts have a wave', limited, async () => {
  const it = await scene();
  await insertTestInstance(it.db, { name: 'north', accounts: 2 });
  await until(it, it.context('one'), ['soaking']);
  assert.deepEqual(await messages(it, /does not know/), [
    'instance north, which the plan does not know, joins: north-1-1 takes over',
  ]);
  assert.equal(await countAt(it.db, 'north-1-1'), 2);
  const upgrade = await it.upgrade();
  assert.deepEqual(
    upgrade.plan.instances.map(({ replaces }) => replaces),
    ['east', 'west', 'north'],
  );
});

test(
  'an instance that comes in the midst of the waves joins too, an empty one only when accounts come to it',
  limited,
  async () => {
    const it = await scene();
    const context = it.context('one');
    await until(it, context, ['moving']);
    await insertTestInstance(it.db, { name: 'north', accounts: 2 });
    await insertTestInstance(it.db, { name: 'empty', accounts: 0 });
    await until(it, context, ['soaking']);
    for (let round = 0; round < 200 && (await countAt(it.db, 'north-1-1')) < 2; round++) {
      await stepOnce(context);
      await it.world();
    }
    assert.equal(await countAt(it.db, 'north-1-1'), 2);
    assert.equal((await messages(it, /empty/)).length, 0);
    const report = await readUpgradeReport(it.db, await it.upgrade(), []);
    assert.equal(report.accounts.atOldRelease, 0);
    await putAccount(it, 'empty', 'late');
    assert.equal((await readUpgradeReport(it.db, await it.upgrade(), [])).accounts.atOldRelease, 1);
    await until(it, context, ['soaking']);
    for (let round = 0; round < 200 && (await countAt(it.db, 'empty-1-1')) < 1; round++) {
      await stepOnce(context);
      await it.world();
    }
    assert.equal(await countAt(it.db, 'empty-1-1'), 1);
  },
);

for (const oldInstances of ['upgrade', 'retire']) {
  test(
    `finalizing with \`${oldInstances}\`, accounts are handed over before anything is replaced`,
    limited,
    async () => {
      const it = await scene({ oldInstances });
      const context = it.context('one');
      await until(it, context, ['soaking']);
      await it.db.begin((tx) => finalizeByOperator(tx, operator));
      await putAccount(it, 'east', 'late');
      await it.db`update account set instance_id = (select id from instance where name = 'west') where name = 'west-1'`;
      await insertTestInstance(it.db, { name: 'north', accounts: 1 });
      while ((await it.upgrade()).state !== 'done') {
        const at = (await countAt(it.db, 'east')) + (await countAt(it.db, 'west')) + (await countAt(it.db, 'north'));
        await stepOnce(context);
        const touched = await it.db`
        select name from desired_process where name in ('east', 'west', 'north') and (release = '1.1.0' or state = 'stopped')`;
        if (at > 0)
          assert.equal(touched.length, 0, `${touched[0]?.['name']} is replaced while ${at} accounts are there`);
        await it.world();
      }
      assert.equal(await countAt(it.db, '%-1-1'), 8);
    },
  );
}

test(
  'finalizing is refused while accounts are at any instance of an earlier release, by its name',
  limited,
  async () => {
    const it = await scene();
    await until(it, it.context('one'), ['soaking']);
    await insertTestInstance(it.db, { name: 'north', accounts: 2 });
    await assert.rejects(
      it.db.begin((tx) => finalizeByOperator(tx, operator)),
      { code: 'ERR_UPGRADE_STATE', message: /earlier release: north \(2\)\. .*`bramble upgrade status` shows/ },
    );
    assert.equal((await it.upgrade()).state, 'soaking');
  },
);

test('an account that comes between the last look and the replacement is handed over first', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  const [inserted, decided] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // Created before the look, seen after it: when the step has decided, and maybe has begun.
  const creating = it.db.begin(async (tx) => {
    await tx`
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'late', 'late', id from instance where name = 'east'`;
    inserted.resolve();
    await decided.promise;
  });
  await Promise.race([inserted.promise, creating]);
  let isDecided = false;
  const observe = (step: string) => {
    if (step !== 'replace-processes') return;
    isDecided = true;
    decided.resolve();
  };
  for (let look = 0; look < 20 && !isDecided; look++) await stepOnce(it.context('one', { observe }));
  decided.resolve();
  await creating;
  assert.ok(isDecided);
  assert.equal(await countAt(it.db, 'east'), 1);
  const touched = async () => it.db`select 1 from desired_process where name in ('east', 'west') and release = '1.1.0'`;
  assert.equal((await touched()).length, 0, 'nothing was replaced while it is there');
  await until(it, context, ['done']);
  assert.equal(await countAt(it.db, 'east-1-1'), 4);
});

test('a planned instance whose old one is gone is not added', limited, async () => {
  const it = await scene();
  await it.db`delete from account where name like 'west-%'`;
  await it.db`update instance set retired_at = now() where name = 'west'`;
  await until(it, it.context('one'), ['soaking']);
  assert.deepEqual(await messages(it, /no longer there/), ['instance west is no longer there: west-1-1 is not needed']);
  assert.equal((await it.db`select 1 from instance where name = 'west-1-1'`).length, 0);
});

test('a domain without accounts at first: those that come are moved all the same', limited, async () => {
  const it = await scene();
  await it.db`delete from account`;
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await putAccount(it, 'east', 'first');
  for (let round = 0; round < 200 && (await countAt(it.db, 'east-1-1')) < 1; round++) {
    await stepOnce(context);
    await it.world();
  }
  assert.equal(await countAt(it.db, 'east-1-1'), 1);
});

test(
  'of a plan of 1.1, which has an instance for each old one, those for empty ones are not added',
  limited,
  async () => {
    const it = await scene();
    await it.db`delete from account where name like 'west-%'`;
    const context = it.context('one');
    await until(it, context, ['soaking']);
    assert.deepEqual(await messages(it, /has no accounts/), ['instance west has no accounts: west-1-1 is not needed']);
    assert.equal((await it.db`select 1 from instance where name = 'west-1-1'`).length, 0);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    await until(it, context, ['done']);
    assert.deepEqual(
      (await it.db`select release from desired_process where name = 'west'`).map(({ release }) => release),
      ['1.1.0'],
    );
  },
);

test('an instance for an empty one is added when accounts are assigned to it', limited, async () => {
  const it = await scene();
  await it.db`delete from account where name like 'west-%'`;
  await it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'east-1', instance: 'west-1-1' }));
  await until(it, it.context('one'), ['soaking']);
  assert.equal(await countAt(it.db, 'west-1-1'), 1);
});

test(
  'whoever came after the waves were divided can be assigned, and goes home when it is reversed',
  limited,
  async () => {
    const it = await scene();
    const context = it.context('one');
    await until(it, context, ['soaking']);
    await putAccount(it, 'east', 'late');
    await putAccount(it, 'east-1-1', 'made-there');
    for (const account of ['late', 'made-there']) {
      await it.db.begin((tx) => assignAccount(tx, { ...operator, account, instance: 'west-1-1' }));
    }
    await assert.rejects(
      it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'late', instance: 'west-1-1', wave: 9 })),
      { code: 'ERR_INPUT', message: /no wave 9\. The waves are: 1/ },
    );
    for (let round = 0; round < 200 && (await countAt(it.db, 'west-1-1')) < 5; round++) {
      await stepOnce(context);
      await it.world();
    }
    assert.equal(await countAt(it.db, 'west-1-1'), 5);
    const homes = await it.db<{ name: string }[]>`
    select distinct i.name from upgrade_assignment s join instance i on i.id = s.from_instance_id order by 1`;
    assert.deepEqual(
      homes.map(({ name }) => name),
      ['east', 'west'],
    );
  },
);

test('the report counts accounts at the old release before any new instance exists', async () => {
  const it = await scene();
  const report = await readUpgradeReport(it.db, await it.upgrade(), []);
  assert.deepEqual([report.newInstances, report.accounts.atOldRelease], [[], 6]);
});

test('the domain’s own log has the waves, pauses and all the rest of an upgrade', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['moving']);
  await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
  await it.db.begin((tx) => resumeByOperator(tx, operator));
  await until(it, context, ['soaking']);
  const events = await it.db<{ kind: string; message: string }[]>`select kind, message from event order by id`;
  const said = events.map(({ kind, message }) => `${kind} ${message}`).join('\n');
  for (const expected of [
    /^upgrade-planned upgrade to 1\.1\.0: started by tester$/m,
    /^upgrade-moving .*wave 1 \(canary\) begins/m,
    /^upgrade-paused .*by tester: lunch$/m,
    /^upgrade-moving .*resumed by tester$/m,
    /^upgrade-moving .*wave 1 \(canary\) passed its gate$/m,
    /^upgrade-soaking /m,
  ]) {
    assert.match(said, expected);
  }
});

test('once it is done, the report names the emptied instances and the command that ends them', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  assert.deepEqual((await readUpgradeReport(it.db, await it.upgrade(), [])).emptied, []);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  const report = await readUpgradeReport(it.db, await it.upgrade(), []);
  assert.deepEqual(report.emptied, ['east', 'west']);
  assert.match(reportText(report), /retire with `bramble instance retire east west`/);
});

const withoutBackup = async () => [
  { name: 'rehearsal', result: 'passed' as const, message: '' },
  { name: 'backup', result: 'warning' as const, message: 'No backup was verified.' },
];

test('after checks that stopped a start, it waits for the start that goes on, and says why', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  const effects = { ...context.effects, check: withoutBackup };
  const waitsFor = async () => {
    for (let round = 0; round < 3; round++) await stepOnce({ ...context, effects });
    return (await it.upgrade()).progress.waitingFor;
  };
  assert.match((await waitsFor()) ?? '', /^`bramble upgrade start --override backup`: the checks stopped .*No backup/);
  await assert.rejects(
    it.db.begin((tx) => startUpgrade(tx, { ...operator, host: 'here', overrides: ['bakcup'] })),
    { code: 'ERR_INPUT', message: /named bakcup\. The checks are: .*backup/ },
  );
  // As an administration service of 1.1 takes it.
  await it.db`update upgrade set progress = progress || '{"started": true, "overrides": ["bakcup", "backup"]}'`;
  assert.match(
    (await waitsFor()) ?? '',
    /^errors to be fixed, .*no check named bakcup\. The checks are: rehearsal, backup/,
  );
});

test('the log counts a check that was overridden as overridden, not as passed', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  const effects = { ...context.effects, check: withoutBackup };
  await it.db`update upgrade set progress = progress || '{"started": true, "overrides": ["backup"]}'`;
  for (let round = 0; round < 3; round++) await stepOnce({ ...context, effects });
  const { events } = await readUpgradeReport(it.db, await it.upgrade(), []);
  const logged = events.map(({ message }) => message).filter((message) => message.includes('passed'));
  assert.deepEqual(logged, ['1 check passed, 1 overridden: backup']);
});

test('a start that an earlier release took overrides with its time, though it noted none', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  const at = '2026-11-27T08:00:00.000Z';
  await it.db`
    update upgrade set progress = progress - 'startedAt' || '{"started": true, "overrides": ["backup"]}', updated_at = ${at}`;
  await stepOnce({ ...context, effects: { ...context.effects, check: withoutBackup } });
  const [, backup] = (await it.upgrade()).progress.checks ?? [];
  assert.deepEqual([backup?.overriddenBy, backup?.overriddenAt], [operator.by, at]);
});
