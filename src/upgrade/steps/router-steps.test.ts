/** Routers are replaced before any account is moved, one by one, and put back first of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { finalizeByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { insertTestProcess } from './domain-fixture.ts';
import { countAt, operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 120_000 };

/** With a second router. */
async function sceneOfTwo(): Promise<Scene> {
  const it = await scene();
  await insertTestProcess(it.db, { name: 'router-2', kind: 'router', release: '1.0.0' });
  return it;
}

const routers = async (it: Scene) =>
  (
    await it.db<{ name: string; wanted: string; seen: string | null }[]>`
      select d.name, d.release as wanted, c.release as seen
        from desired_process d left join component c on c.name = d.name where d.kind = 'router' order by d.name`
  ).map(({ name, wanted, seen }) => `${name} ${wanted} ${seen}`);

const messages = async (it: Scene) =>
  (await it.db<{ message: string }[]>`select message from upgrade_event order by id`).map(({ message }) => message);

test(
  'all routers are of the new release before a wave begins, the next once the one before is there',
  limited,
  async () => {
    const it = await sceneOfTwo();
    const context = it.context('one');
    await until(it, context, ['admin-upgraded']);
    const seen = new Set<string>();
    for (let round = 0; round < 200 && (await it.upgrade()).state === 'admin-upgraded'; round++) {
      // Supervisors and processes are slow: every state is stepped on several times before they do anything.
      for (let step = 0; step < 3; step++) {
        await stepOnce(context);
        const now = (await routers(it)).join(', ');
        seen.add(now);
        if ((await it.upgrade()).state === 'moving') break;
      }
      await it.world();
    }
    assert.deepEqual(
      [...seen],
      [
        'router 1.1.0 1.0.0, router-2 1.0.0 1.0.0',
        'router 1.1.0 1.1.0, router-2 1.1.0 1.0.0',
        'router 1.1.0 1.1.0, router-2 1.1.0 1.1.0',
      ],
    );
    assert.equal(await countAt(it.db, '%-1-1'), 0);
    await until(it, context, ['soaking']);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    await until(it, context, ['done']);
  },
);

test('a new router that does not come holds the waves, and says so; reversing takes it back', limited, async () => {
  const it = await sceneOfTwo();
  const context = it.context('one');
  await until(it, context, ['admin-upgraded']);
  await it.world();
  for (let step = 0; step < 5; step++) await stepOnce(context);
  assert.deepEqual(await routers(it), ['router 1.1.0 1.0.0', 'router-2 1.0.0 1.0.0']);
  const { state, progress } = await it.upgrade();
  assert.equal(state, 'admin-upgraded');
  assert.equal(progress.waitingFor, 'routers of 1.1.0: router on here; those of 1.0.0 serve until then');
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, context, ['reversed']);
  assert.deepEqual(await routers(it), ['router 1.0.0 1.0.0', 'router-2 1.0.0 1.0.0']);
});

test(
  'reversed among the waves, routers go back one by one before accounts do; an absent one is not waited for',
  limited,
  async () => {
    const it = await sceneOfTwo();
    const context = it.context('one');
    await until(it, context, ['moving']);
    for (let round = 0; round < 200 && (await countAt(it.db, '%-1-1')) === 0; round++) {
      await stepOnce(context);
      await it.world();
    }
    await it.db`update component set lease_until = now() - interval '1 minute' where name = 'router-2'`;
    await it.db.begin((tx) => reverseByOperator(tx, operator));
    for (let step = 0; step < 5; step++) await stepOnce(context);
    assert.deepEqual(
      await routers(it),
      ['router 1.0.0 1.1.0', 'router-2 1.1.0 1.1.0'],
      'the one at work is waited for',
    );
    await it.db`update component set release = '1.0.0' where name = 'router'`;
    for (let step = 0; step < 5; step++) await stepOnce(context);
    assert.deepEqual(await routers(it), ['router 1.0.0 1.0.0', 'router-2 1.0.0 1.1.0']);
    await until(it, context, ['reversed']);
    const said = await messages(it);
    const back = said.indexOf('switching to 1.0.0: router-2');
    const accounts = said.findIndex((message) => /accounts are to move back/.test(message));
    assert.ok(back >= 0 && accounts > back, `${back} ${accounts}`);
  },
);
