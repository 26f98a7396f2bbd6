/** Emptied instances become destinations: through to the end, and back from anywhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { assignAccount } from '../operations/account-assignment.ts';
import { finalizeByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { changeByOperator } from '../operations/options-change.ts';
import { listWaves } from '../state/wave-store.ts';
import { insertTestAccount, insertTestInstance } from './domain-fixture.ts';
import { operator, type Scene, scene, until } from './scene-fixture.ts';
import type { StepContext } from './step-context.ts';

const limited = { timeout: 180_000 };
const reusing = { reuseInstances: true, canariesPerInstance: 1 };

/** `east: 3` for each instance with accounts, and the release that is wanted of it. */
async function placed(it: Scene): Promise<string[]> {
  const rows = await it.db<{ text: string }[]>`
    select i.name || ' ' || d.release || ': ' || count(a.id) as text
      from instance i left join account a on a.instance_id = i.id
      join desired_process d on d.name = i.name and d.state = 'running'
     where i.retired_at is null group by i.name, d.release order by i.name`;
  return rows.map(({ text }) => text);
}

async function untilWave(it: Scene, context: StepContext, number: number, state: string): Promise<void> {
  for (let round = 0; round < 200; round++) {
    await stepOnce(context);
    await it.world();
    const wave = (await listWaves(it.db, (await it.upgrade()).id)).find((each) => each.number === number);
    if (wave?.state === state) return;
  }
  assert.fail(`wave ${number} never was ${state}: ${JSON.stringify(await it.upgrade())}`);
}

test('one instance is added, each emptied one takes over from the next, and the last is retired', limited, async () => {
  const it = await scene(reusing);
  const context = it.context('one');
  await until(it, context, ['moving']);
  assert.deepEqual(await placed(it), ['east 1.0.0: 3', 'east-1-1 1.1.0: 0', 'west 1.0.0: 3']);
  await until(it, context, ['soaking']);
  assert.deepEqual(await placed(it), ['east 1.1.0: 3', 'east-1-1 1.1.0: 3', 'west 1.0.0: 0']);
  const [moved] = await it.db<{ count: number }[]>`select count(*)::int as count from account_move`;
  assert.equal(moved?.count, 6, 'nobody moves twice');
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  await until(it, context, ['done']);
  assert.deepEqual(await placed(it), ['east 1.1.0: 3', 'east-1-1 1.1.0: 3'], 'as many as before');
});

test(
  'accounts that come to an instance that is to be emptied leave it first, and until then it keeps its release',
  limited,
  async () => {
    const it = await scene(reusing);
    const context = it.context('one');
    await until(it, context, ['moving']);
    await untilWave(it, context, 2, 'running');
    for (let round = 0; round < 50 && (await placed(it))[0] !== 'east 1.0.0: 0'; round++) {
      await stepOnce(context);
      await it.world();
    }
    await insertTestAccount(it.db, 'late', 'east');
    await until(it, context, ['soaking']);
    assert.deepEqual(await placed(it), ['east 1.1.0: 3', 'east-1-1 1.1.0: 4', 'west 1.0.0: 0']);
    const [late] = await it.db<{ name: string }[]>`
    select i.name from account a join instance i on i.id = a.instance_id where a.name = 'late'`;
    assert.equal(late?.name, 'east-1-1');
  },
);

test('who comes late never goes with a wave that waits until his own instance is empty', limited, async () => {
  const it = await scene(reusing);
  const context = it.context('one');
  await untilWave(it, context, 2, 'running');
  const order = { ...operator, platforms: registeredPlatforms, host: 'here' };
  await it.db.begin((tx) => changeByOperator(tx, { ...order, change: { addDestinations: { east: [{ share: 9 }] } } }));
  await untilWave(it, context, 2, 'passed');
  for (const name of ['late', 'later', 'last']) await insertTestAccount(it.db, name, 'east');
  await until(it, context, ['soaking']);
  assert.deepEqual(await placed(it), ['east 1.1.0: 3', 'east-1-1 1.1.0: 6', 'east-1-1-b 1.1.0: 0', 'west 1.0.0: 0']);
});

test(
  'an instance that is gone when an emptied one is to take over from it pauses the upgrade by its name',
  limited,
  async () => {
    const it = await scene(reusing);
    const context = it.context('one');
    await until(it, context, ['moving']);
    await it.db`update instance set name = 'gone', retired_at = now() where name = 'west'`;
    const { pauseReason } = await until(it, context, ['paused']);
    assert.equal(pauseReason, 'east was to take over from west, but there is no instance west any more');
  },
);

for (const when of ['moving', 'destination', 'soaking'] as const) {
  test(
    `reversed when it is ${when}, each account is where it was, and each instance of the old release`,
    limited,
    async () => {
      const it = await scene(reusing);
      const context = it.context('one');
      await until(it, context, ['moving']);
      const before = await it.db`select name, instance_id from account order by name`;
      if (when === 'destination') await untilWave(it, context, 3, 'running');
      if (when === 'soaking') await until(it, context, ['soaking']);
      await it.db.begin((tx) => reverseByOperator(tx, operator));
      await until(it, context, ['reversed']);
      assert.deepEqual(await it.db`select name, instance_id from account order by name`, before);
      assert.deepEqual(await placed(it), ['east 1.0.0: 3', 'west 1.0.0: 3']);
    },
  );
}

test(
  'of three instances, canaries of any go first, and none can be sent to one that is not empty',
  limited,
  async () => {
    const it = await scene({ ...reusing, canaries: ['west-0'] });
    await insertTestInstance(it.db, { name: 'zone', accounts: 1 });
    const context = it.context('one');
    await assert.rejects(
      it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'west-1', instance: 'east' })),
      { code: 'ERR_INPUT', message: /east is not one of the upgrade’s new instances \(east-1-1\)/ },
    );
    await until(it, context, ['soaking']);
    assert.deepEqual(await placed(it), [
      'east 1.1.0: 2',
      'east-1-1 1.1.0: 4',
      'west 1.0.0: 0',
      'zone 1.0.0: 0',
      'zone-1-1 1.1.0: 1',
    ]);
  },
);
