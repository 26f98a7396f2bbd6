/** The accounts of one old instance go to several new ones, wave after wave, and come home from each of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { reverseByOperator } from '../operations/operator-actions.ts';
import { insertTestAccount } from './domain-fixture.ts';
import { operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 180_000 };
const spread = { instances: { east: { destinations: [{ name: 'one' }, { name: 'two', share: 2 }] } } };

/** `east 0, one 1` of the instances that are not retired. */
async function placed({ db }: Scene): Promise<string> {
  const [row] = await db<{ text: string }[]>`
    select string_agg(name || ' ' || accounts, ', ' order by name) as text
      from (select i.name, count(a.id) as accounts from instance i left join account a on a.instance_id = i.id
             where i.retired_at is null group by i.name) counted`;
  return row?.text ?? '';
}

test('each destination takes its share, and latecomers keep to it', limited, async () => {
  const it = await scene(spread);
  const context = it.context('one');
  await until(it, context, ['moving']);
  const waves = await it.db<{ text: string }[]>`
    select w.number || ': ' || string_agg(i.name, ' ' order by i.name) as text
      from upgrade_wave w join upgrade_assignment s on s.upgrade_id = w.upgrade_id and s.wave_number = w.number
      join instance i on i.id = s.to_instance_id group by w.number order by w.number`;
  assert.deepEqual(
    waves.map(({ text }) => text),
    ['1: one two west-1-1 west-1-1', '2: two west-1-1'],
  );
  await until(it, context, ['soaking']);
  assert.equal(await placed(it), 'east 0, one 1, two 2, west 0, west-1-1 3');
  for (const name of ['late-1', 'late-2', 'late-3']) await insertTestAccount(it.db, name, 'east');
  for (let round = 0; round < 50 && !(await placed(it)).startsWith('east 0'); round++) {
    await stepOnce(context);
    await it.world();
  }
  assert.equal(await placed(it), 'east 0, one 2, two 4, west 0, west-1-1 3');
});

test('reversed, all come home from each of them', limited, async () => {
  const it = await scene(spread);
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, context, ['reversed']);
  assert.equal(await placed(it), 'east 3, west 3');
});
