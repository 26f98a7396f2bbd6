/** Moves that an administrator asks for while an upgrade is open: what it would undo is not begun, and nothing is undone unsaid. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccountId, InstanceId } from '../../base/ids.ts';
import { createMoveBatch, type SkippedMove } from '../../moves/batch-store.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { assignAccount } from '../operations/account-assignment.ts';
import { finalizeByOperator, pauseByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { insertTestInstance } from '../steps/domain-fixture.ts';
import { countAt, operator, type Scene, scene, until } from '../steps/scene-fixture.ts';
import { listHeldMoves } from './held-moves.ts';

const limited = { timeout: 120_000 };

async function move(
  it: Scene,
  account: string,
  to: string,
  listHeld = listHeldMoves,
): Promise<SkippedMove | undefined> {
  return await it.db.begin(async (tx) => {
    const [row] = await tx<{ accountId: AccountId; toInstanceId: InstanceId }[]>`
      select a.id as "accountId", i.id as "toInstanceId" from account a, instance i where a.name = ${account} and i.name = ${to}`;
    assert.ok(row);
    const moves = [row];
    const { skipped } = await createMoveBatch(tx, { purpose: 'manual', createdBy: 'ada', moves, listHeld });
    return skipped[0];
  });
}

/** As a move that was queued at the very moment at which the upgrade assigned the account. */
const moveAllTheSame = async (it: Scene, account: string, to: string) => await move(it, account, to, async () => []);

async function where(it: Scene, account: string): Promise<string | undefined> {
  const [row] = await it.db<{ name: string }[]>`
    select i.name from account a join instance i on i.id = a.instance_id where a.name = ${account}`;
  return row?.name;
}

async function goesOn(it: Scene, account: string, to: string): Promise<void> {
  const context = it.context('one');
  for (let round = 0; round < 100 && (await where(it, account)) !== to; round++) {
    await stepOnce(context);
    await it.world();
  }
  assert.equal(await where(it, account), to);
}

const putBack = async (it: Scene) =>
  (
    await it.db<{ message: string }[]>`
      select message from upgrade_event where message like 'moved by hand%' order by id`
  ).map(({ message }) => message);

test('a move that the upgrade would undo is skipped by name, and says what to type instead', limited, async () => {
  const it = await scene({ canaries: ['east-0'], soakSeconds: 3600 });
  const context = it.context('one');
  assert.equal(await move(it, 'east-2', 'west'), undefined, 'nothing is assigned before the waves are divided');
  await it.db`update account_move set state = 'cancelled', closed_at = now()`;
  await until(it, context, ['moving']);
  await goesOn(it, 'east-0', 'east-1-1');

  const back = await move(it, 'east-0', 'east');
  assert.equal(back?.reason, 'assigned-by-upgrade');
  assert.match(back?.next ?? '', /assigned it to east-1-1 .*`bramble upgrade reverse`/);
  const away = await move(it, 'east-0', 'west');
  assert.equal(away?.reason, 'assigned-by-upgrade');
  assert.match(away?.next ?? '', /`bramble account assign east-0 west-1-1`/);
  const early = await move(it, 'east-2', 'west');
  assert.equal(early?.reason, 'moved-by-upgrade');
  assert.match(early?.next ?? '', /^wave \d \(\d+ %\) moves it to east-1-1: `bramble account assign east-2 west-1-1`/);
  assert.equal((await move(it, 'east-2', 'east'))?.reason, 'already-there');

  await it.db.begin((tx) => pauseByOperator(tx, operator));
  assert.equal((await move(it, 'east-0', 'west'))?.reason, 'assigned-by-upgrade', 'also while it is paused');
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  assert.equal((await move(it, 'east-2', 'east-1-1'))?.reason, 'upgrade-reverses');
  await until(it, context, ['reversed']);
  assert.equal(await move(it, 'east-0', 'west'), undefined);
});

test('an account without assignment leaves an instance that nothing takes over from', limited, async () => {
  const it = await scene();
  await until(it, it.context('one'), ['moving']);
  await insertTestInstance(it.db, { name: 'north', accounts: 1 });
  assert.equal(await move(it, 'north-0', 'east'), undefined);
  await goesOn(it, 'north-0', 'east-1-1');
  assert.deepEqual(await putBack(it), [], 'it follows where it was moved to');
});

test('an account that was made at a new instance is not moved to one that is emptied', limited, async () => {
  const it = await scene();
  await until(it, it.context('one'), ['soaking']);
  await it.db`
    insert into account (id, name, display_name, instance_id)
    select gen_random_uuid(), 'born', 'born', id from instance where name = 'east-1-1'`;
  const held = await move(it, 'born', 'west');
  assert.equal(held?.reason, 'moved-by-upgrade');
  assert.match(held?.next ?? '', /from west to west-1-1: `bramble account assign born west-1-1`/);
  assert.equal(await move(it, 'born', 'west-1-1'), undefined);
});

test('one canary goes home for a while: with a later wave, until which nothing brings it back', limited, async () => {
  const it = await scene({ canaries: ['east-0'] });
  const context = it.context('one');
  await until(it, context, ['moving']);
  await goesOn(it, 'east-0', 'east-1-1');
  const order = { ...operator, account: 'east-0', instance: 'east-1-1', wave: 3 };
  await assert.rejects(
    it.db.begin((tx) => assignAccount(tx, { ...operator, account: 'east-0', instance: 'east' })),
    {
      code: 'ERR_INPUT',
      message:
        /`bramble account assign east-0 east-1-1 --wave 3`, then `bramble move start --account east-0 --to east`.*reverse/,
    },
  );
  await it.db.begin((tx) => assignAccount(tx, order));
  // Its move has to be closed first.
  await it.world();
  assert.equal(await move(it, 'east-0', 'east'), undefined);
  await it.world();
  assert.equal(await where(it, 'east-0'), 'east');
  await until(it, context, ['soaking']);
  assert.equal(await where(it, 'east-0'), 'east-1-1');
});

test(
  'an account that was moved manually during the upgrade is put back, and the log names account, instance and administrator',
  limited,
  async () => {
    const it = await scene();
    await until(it, it.context('one'), ['soaking']);
    await moveAllTheSame(it, 'west-1', 'east');
    await it.world();
    assert.equal(await where(it, 'west-1'), 'east');
    await goesOn(it, 'west-1', 'west-1-1');
    assert.deepEqual(await putBack(it), [
      'moved by hand, and moved back to their assigned instances: west-1 (to east, by ada)',
    ]);
  },
);

test('one whose devices do not come after a move by hand is put back too: it can be finalized', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await moveAllTheSame(it, 'west-1', 'east');
  await it.world();
  const [device] = await it.db<{ id: string }[]>`
    insert into device (id, account_id, token, platform, state, scep_challenge)
    select gen_random_uuid(), id, 'silent', 'apple', 'active', 'c' from account where name = 'west-1' returning id`;
  await it.db`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id)
    select gen_random_uuid(), m.account_id, ${device?.id ?? ''}, 'it-policy', 'move', true, 'owed', m.id
      from account_move m join account a on a.id = m.account_id and a.name = 'west-1'
     order by m.committed_at desc limit 1`;
  await it.db`
    update account_move m set state = 'delivering', closed_at = null, out_of_reach = true
      from delivery d where d.move_id = m.id`;
  await it.db`update account_move set committed_at = committed_at - interval '1 hour' where state = 'delivering'`;
  await goesOn(it, 'west-1', 'west-1-1');
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  assert.equal(await countAt(it.db, '%-1-1'), 6);
});
