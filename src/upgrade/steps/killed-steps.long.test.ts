/**
 * Each transaction of each way that an upgrade can take: the coordinator dies before it, in it and after it, an operator pauses
 * behind it, and each time the upgrade goes on from its row to one whole domain.
 *
 * The steps are listed, so that a new one is seen to be walked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import {
  finalizeByOperator,
  pauseByOperator,
  resumeByOperator,
  reverseByOperator,
} from '../operations/operator-actions.ts';
import { isFinal } from '../state/upgrade-states.ts';
import { killEverywhere, operator, type Scene, scene, until } from './scene-fixture.ts';
import type { StepContext } from './step-context.ts';
import { assertWhole } from './whole-domain-fixture.ts';

const limited = { timeout: 300_000 };

interface Way {
  readonly what: string;
  readonly toRelease: string;
  readonly options?: object;
  readonly onward: string;
  readonly finalizing: string;
  readonly reversing: string;
}

const begun = 'check stop-administrations fence expand start-administrations';
const handedBack = 'stop-new-administrations fence-back start-old-administrations reversed';
const moved = 'replace-routers divide-waves start-wave soak-wave pass-wave all-moved soak';

const ways: readonly Way[] = [
  {
    what: 'an upgrade',
    toRelease: '1.1.0',
    onward: `${begun} add-instance administration-ready ${moved}`,
    finalizing: 'replace-processes raise done',
    reversing: `replace-routers move-back remove-instances ${handedBack}`,
  },
  {
    what: 'an upgrade that retires its emptied instances',
    toRelease: '1.1.0',
    options: { oldInstances: 'retire' },
    onward: `${begun} add-instance administration-ready ${moved}`,
    finalizing: 'retire-instance remove-retired raise done',
    reversing: `replace-routers move-back remove-instances ${handedBack}`,
  },
  {
    what: 'an upgrade whose emptied instances become destinations',
    toRelease: '1.1.0',
    options: { reuseInstances: true, canariesPerInstance: 1 },
    onward: `${begun} add-instance administration-ready replace-routers divide-waves start-wave soak-wave pass-wave reuse-instance all-moved soak`,
    finalizing: 'retire-instance remove-retired raise done',
    reversing: `replace-routers send-home give-back move-back remove-instances ${handedBack}`,
  },
  {
    what: 'a patch in place',
    toRelease: '1.0.1',
    onward: `${begun} administration-ready replace-routers divide-waves start-wave replace-process instance-replaced soak-wave pass-wave all-moved soak`,
    finalizing: 'done',
    reversing: `replace-routers replace-process ${handedBack}`,
  },
  {
    what: 'a patch with moves',
    toRelease: '1.0.1',
    options: { inPlace: false },
    onward: `${begun} add-instance administration-ready ${moved}`,
    finalizing: 'replace-processes done',
    reversing: `replace-routers move-back remove-instances ${handedBack}`,
  },
];

for (const { what, toRelease, options = {}, onward, finalizing, reversing } of ways) {
  test(`whichever step its coordinator dies in, ${what} is finalized, and reversed`, limited, async () => {
    const it = await scene(options, toRelease);
    assert.equal((await killEverywhere(it, ['soaking'])).join(' '), onward);
    const moves = await countMoves(it);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    assert.equal((await killEverywhere(it, ['done'])).join(' '), finalizing);
    await assertWhole(it, toRelease);
    assert.equal(await countMoves(it), moves, 'nobody moved again');
    const back = await soaking(options, toRelease);
    await back.db.begin((tx) => reverseByOperator(tx, operator));
    assert.equal((await killEverywhere(back, ['reversed'])).join(' '), reversing);
    await assertWhole(back, toRelease);
    assert.equal(await countMoves(back), 2 * moves, 'everybody who had moved came home once');
  });

  test(`paused behind each step, ${what} stands still until it is resumed`, limited, async () => {
    const it = await soaking(options, toRelease);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    await pauseBehindEach(it, finalizing.split(' '));
    const back = await soaking(options, toRelease);
    await back.db.begin((tx) => reverseByOperator(tx, operator));
    await pauseBehindEach(back, reversing.split(' '));
    for (const each of [it, back]) await assertWhole(each, toRelease);
  });
}

async function soaking(options: object, toRelease: string): Promise<Scene> {
  const it = await scene(options, toRelease);
  await until(it, it.context('one'), ['soaking']);
  return it;
}

async function countMoves({ db }: Scene): Promise<number> {
  return (await db`select 1 from account_move where committed_at is not null`).length;
}

test(
  'where no emptied instance is used again, those of the old release stand by until it is finalized',
  limited,
  async () => {
    for (const { options, toRelease } of ways.filter(({ reversing }) => !/give-back|replace-process/.test(reversing))) {
      assert.deepEqual(await standingBy(await soaking(options ?? {}, toRelease)), ['east 1.0.0', 'west 1.0.0']);
    }
  },
);

/** Instances of the old release that run, without an account. */
async function standingBy({ db }: Scene): Promise<string[]> {
  const rows = await db<{ text: string }[]>`
    select c.name || ' ' || c.release as text from component c join desired_process p on p.name = c.name and p.release = c.release
      join instance i on i.name = c.name
     where p.state = 'running' and c.stopped_at is null and c.release = '1.0.0'
       and not exists (select 1 from account a where a.instance_id = i.id) order by 1`;
  return rows.map(({ text }) => text);
}

/** Each but the last, which ends it. */
async function pauseBehindEach(it: Scene, steps: readonly string[]): Promise<void> {
  const paused: string[] = [];
  for (let round = 0; round < 400 && !isFinal((await it.upgrade()).state); round++) {
    const done: string[] = [];
    const observe: StepContext['observe'] = (step, when) => {
      if (when === 'after' && !paused.includes(step)) done.push(step);
    };
    await stepOnce(it.context('one', { observe }));
    if (done.length > 0 && !isFinal((await it.upgrade()).state)) {
      await it.db.begin((tx) => pauseByOperator(tx, operator));
      await assertStandsStill(it);
      await it.db.begin((tx) => resumeByOperator(tx, operator));
    }
    paused.push(...done);
    await it.world();
  }
  assert.deepEqual(paused, steps);
}

/** What is under way may come to its end; nothing that is wanted, and no account’s place, changes after that. */
async function assertStandsStill(it: Scene): Promise<void> {
  const wanted = async () =>
    await it.db`select name, release, state, (select release from domain) as domain from desired_process order by name`;
  const before = await wanted();
  const moves = await it.db`select id from account_move where committed_at is not null order by id`;
  for (let round = 0; round < 3; round++) {
    await it.world();
    await stepOnce(it.context(`rival-${round}`));
    await stepOnce(it.context('one'));
  }
  assert.deepEqual(await wanted(), before);
  assert.deepEqual(await it.db`select id from account_move where committed_at is not null order by id`, moves);
  assert.equal((await it.upgrade()).state, 'paused');
}
