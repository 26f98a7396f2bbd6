/** What failed is tried again, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { readUpgradeReport } from '../report/report.ts';
import { listWaves } from '../state/wave-store.ts';
import { operator, type Scene, scene, until } from '../steps/scene-fixture.ts';
import type { StepContext } from '../steps/step-context.ts';
import { pauseByOperator } from './operator-actions.ts';
import { retryByOperator } from './retry.ts';

const limited = { timeout: 120_000 };
const retry = async (it: Scene) => await it.db.begin((tx) => retryByOperator(tx, operator));

/** The wave has begun, and the move of this account is given up. */
async function failMove(it: Scene, context: StepContext, account: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    await stepOnce(context);
    const { count } = await it.db`
      update account_move set state = 'rolled-back', closed_at = now(), failure = 'no such luck'
       where account_id = (select id from account where name = ${account}) and state = 'queued'`;
    if (count === 1) return;
    await it.world();
  }
  assert.fail(`no move of ${account} was queued`);
}

const movesOf = async (it: Scene) =>
  (
    await it.db<{ name: string; state: string }[]>`
      select a.name, m.state from account_move m join account a on a.id = m.account_id order by a.name, m.queued_at`
  ).map(({ name, state }) => `${name} ${state}`);

test('an account whose move failed moves again alone, and its wave goes on where it was', limited, async () => {
  const it = await scene({ canaries: ['east-0', 'west-0'] });
  const context = it.context('one');
  await failMove(it, context, 'east-0');
  const paused = await until(it, context, ['paused']);
  assert.match(paused.pauseReason ?? '', /1 account of wave 1 could not be moved/);
  const [wait] = (await readUpgradeReport(it.db, paused, [])).waits;
  assert.match(wait?.command ?? '', /bramble upgrade retry to have only these moved again/);
  const [before] = await listWaves(it.db, paused.id);
  assert.deepEqual(await retry(it), { moves: 1, deliveries: 0, pauseReason: null });
  assert.equal((await it.upgrade()).state, 'moving');
  const [after] = await listWaves(it.db, paused.id);
  assert.deepEqual([after?.state, after?.startedAt, after?.gate], [before?.state, before?.startedAt, before?.gate]);
  assert.deepEqual((await movesOf(it)).slice(0, 2), ['east-0 rolled-back', 'east-0 queued']);
  assert.equal((await movesOf(it)).filter((move) => move.startsWith('west-0')).length, 1);
  await until(it, context, ['soaking']);
  assert.deepEqual(await retry(it), { moves: 0, deliveries: 0, pauseReason: null }, 'nothing is left to retry');
});

test(
  'what a device refused is owed again once, also while somebody has paused the upgrade, which stays so',
  limited,
  async () => {
    const it = await scene();
    const context = it.context('one');
    await until(it, context, ['soaking']);
    await it.db`
    with d as (
      insert into device (id, account_id, token, platform, state, scep_challenge)
      select gen_random_uuid(), id, 'device-' || name, 'apple', case name when 'east-2' then 'gone' else 'active' end, 'c'
        from account where name like 'east%' returning id, account_id)
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id, settled_at, failure)
    select gen_random_uuid(), d.account_id, d.id, i.item, 'move', true, case i.item when 'it-policy' then 'failed' else 'done' end,
           m.id, now(), 'refused'
      from d join account_move m on m.account_id = d.account_id, unnest(array['it-policy', 'service-books']) as i(item)`;
    await it.db`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, settled_at)
    select gen_random_uuid(), account_id, device_id, item, 'retry', true, 'done', now() + interval '1 second' from delivery d
     where state = 'failed' and account_id = (select id from account where name = 'east-1')`;
    await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
    const pauseReason = 'by tester: lunch';
    assert.deepEqual(await retry(it), { moves: 0, deliveries: 1, pauseReason });
    assert.deepEqual(await retry(it), { moves: 0, deliveries: 0, pauseReason });
    assert.equal((await it.upgrade()).state, 'paused');
    const rows = await it.db<{ what: string }[]>`
    select a.name || ' ' || d.item || ' ' || d.cause || ' ' || d.state || case when d.move_id is null then '' else ' of a move' end as what
      from delivery d join account a on a.id = d.account_id where d.item = 'it-policy' order by a.name, d.owed_at, d.cause`;
    assert.deepEqual(
      rows.map(({ what }) => what),
      [
        'east-0 it-policy move superseded of a move',
        'east-0 it-policy retry owed of a move',
        'east-1 it-policy move failed of a move',
        'east-1 it-policy retry done',
        'east-2 it-policy move failed of a move',
      ],
    );
  },
);

test(
  'where no accounts are moved there is nothing to retry, and moves queued in a pause wait for its end',
  limited,
  async () => {
    const it = await scene({ canaries: ['east-0', 'west-0'] });
    const context = it.context('one');
    await assert.rejects(retry(it), { code: 'ERR_UPGRADE_STATE', message: /accounts are not being moved/ });
    await failMove(it, context, 'east-0');
    await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
    assert.deepEqual(await retry(it), { moves: 1, deliveries: 0, pauseReason: 'by tester: lunch' });
    const running = await it.db`select 1 from move_batch where state = 'running'`;
    assert.equal(running.length, 0);
  },
);
