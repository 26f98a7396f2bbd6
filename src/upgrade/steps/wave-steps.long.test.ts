/** What a gate found, and what an operator's word makes of it: each pause can be left in both directions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { finalizeByOperator, pauseByOperator, resumeByOperator } from '../operations/operator-actions.ts';
import { changeByOperator } from '../operations/options-change.ts';
import { readUpgradeReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import { listWaves } from '../state/wave-store.ts';
import { countAt, endUnasked, operator, type Scene, scene, until, windowIn } from './scene-fixture.ts';
import type { StepContext } from './step-context.ts';

const limited = { timeout: 120_000 };

async function looks(it: Scene, context: StepContext, times: number, options = {}): Promise<void> {
  for (let look = 0; look < times; look++) {
    await stepOnce(context);
    await it.world(options);
  }
}

async function wavesOf(it: Scene): Promise<string[]> {
  return (await listWaves(it.db, (await it.upgrade()).id)).map(({ state }) => state);
}

const resume = async (it: Scene, acceptGate = false) =>
  await it.db.begin((tx) => resumeByOperator(tx, { ...operator, acceptGate }));

test('who has what is asked of canaries when the waves are divided goes first', limited, async () => {
  const it = await scene({ canaryInstances: ['west'], canaries: ['east-1'] });
  await it.db`delete from account where name = 'west-0'`;
  await until(it, it.context('one'), ['moving']);
  const canaries = await it.db<{ name: string }[]>`
    select a.name from upgrade_assignment s join account a on a.id = s.account_id where s.wave_number = 1 order by 1`;
  assert.deepEqual(
    canaries.map(({ name }) => name),
    ['east-1', 'west-1', 'west-2'],
  );
});

for (const [what, options, gone, reason] of [
  ['gone', { canaries: ['west-0'] }, 'west-0', /^none of the accounts that the plan has go first is there any more/],
  ['everybody', { canaryInstances: ['west'] }, 'east-%', /^all 3 accounts have what the plan asks of canaries now/],
] as const) {
  test(`canaries that are ${what} when the waves are divided pause it, until others are chosen`, limited, async () => {
    const it = await scene(options);
    const context = it.context('one');
    await it.db`delete from account where name like ${gone}`;
    assert.match((await until(it, context, ['paused'])).pauseReason ?? '', reason);
    assert.deepEqual(await wavesOf(it), []);
    await resume(it);
    assert.match((await until(it, context, ['paused'])).pauseReason ?? '', reason, 'resuming alone changes nothing');
    const change = { canaries: ['west-1'], canaryInstances: [] };
    const order = { ...operator, change, platforms: registeredPlatforms, host: 'here' };
    await it.db.begin((tx) => changeByOperator(tx, order));
    await resume(it);
    await until(it, context, ['moving']);
    const first = await it.db`
      select a.name from upgrade_assignment s join account a on a.id = s.account_id where s.wave_number = 1`;
    assert.deepEqual(
      first.map(({ name }) => name),
      ['west-1'],
    );
  });
}

test(
  'a domain that outgrew the limits of its new instances pauses before the first wave, until they are raised',
  limited,
  async () => {
    const it = await scene({ maxAccounts: 3, maxDevices: 1 });
    const context = it.context('one');
    await until(it, context, ['expanded']);
    await it.db`
    insert into device (id, account_id, token, platform, state, scep_challenge)
    select gen_random_uuid(), a.id, 'd-' || a.name || n, 'apple', 'active', 'c' from account a, generate_series(1, 2) n
     where a.name = 'east-0'`;
    const paused = await until(it, context, ['paused']);
    assert.match(
      paused.pauseReason ?? '',
      /^new instances are too small: east-1-1 would take 2 devices, and may take 1\./,
    );
    assert.deepEqual(await wavesOf(it), []);
    const change = { maxDevices: 2 };
    await it.db.begin((tx) =>
      changeByOperator(tx, { ...operator, change, platforms: registeredPlatforms, host: 'here' }),
    );
    await resume(it);
    await until(it, context, ['moving']);
  },
);

/** As soon as the account has moved, it owes a device that nothing can wake. */
async function loseReach(it: Scene, context: StepContext, account: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    await looks(it, context, 1);
    const { count } = await it.db`
      with lost as (
        update account_move set state = 'delivering', settled_at = null
         where account_id = (select id from account where name = ${account}) and state in ('delivering', 'settled')
        returning id, account_id
      ), device as (
        insert into device (id, account_id, token, platform, state, scep_challenge)
        select gen_random_uuid(), account_id, 'lost-' || id, 'apple', 'active', 'c' from lost returning id, account_id)
      insert into delivery (id, account_id, device_id, item, cause, budgeted, move_id)
      select gen_random_uuid(), d.account_id, d.id, 'it-policy', 'move', true, l.id from device d join lost l using (account_id)`;
    if (count === 1) return;
  }
  assert.fail(`${account} never moved`);
}

for (const [outOfReach, outOfReachSeconds] of [
  ['wait', 0],
  ['pause', 3600],
  ['leave', 3600],
] as const) {
  test(
    `a wave with an account out of reach, told to ${outOfReach}, says so and goes no further for now`,
    limited,
    async () => {
      const it = await scene({ canaries: ['east-0', 'west-0'], outOfReach, outOfReachSeconds });
      const context = it.context('one');
      await until(it, context, ['moving']);
      await loseReach(it, context, 'east-0');
      await looks(it, context, 10);
      assert.deepEqual((await wavesOf(it)).slice(0, 1), ['running']);
      const waits = (await readUpgradeReport(it.db, await it.upgrade(), [])).waits;
      const wait = waits.find(({ what }) => what === 'out-of-reach');
      assert.match(wait?.why ?? '', /^1 account of wave 1 \(canary\) has moved, but its devices do not connect/);
      assert.equal(wait?.until === null, outOfReach === 'wait');
      await it.db`update upgrade_wave set started_at = started_at - interval '2 hours' where number = 1`;
      if (outOfReach === 'pause') {
        const windows = async (change: { windows: string[] }) =>
          await it.db.begin((tx) =>
            changeByOperator(tx, { ...operator, change, platforms: registeredPlatforms, host: 'here' }),
          );
        await windows({ windows: [windowIn(2, 1)] });
        await looks(it, context, 5);
        assert.equal((await it.upgrade()).state, 'moving', 'no window was open: its time did not run');
        await windows({ windows: [] });
        assert.match((await until(it, context, ['paused'])).pauseReason ?? '', /do not connect.*--out-of-reach leave/);
        await resume(it);
      } else if (outOfReach === 'wait') {
        await looks(it, context, 10);
        assert.deepEqual((await wavesOf(it)).slice(0, 1), ['running'], 'whatever the time');
      }
      if (outOfReach !== 'leave') {
        const change = { outOfReach: 'leave', outOfReachSeconds: 0 } as const;
        await it.db.begin((tx) =>
          changeByOperator(tx, { ...operator, change, platforms: registeredPlatforms, host: 'here' }),
        );
      }
      await until(it, context, ['soaking']);
    },
  );
}

for (const acceptGate of [false, true]) {
  const how = acceptGate ? 'resumed with a word for the gate' : 'resumed';
  test(`what paused it after the waves counts no more once it is ${how}: it can be finalized`, limited, async () => {
    const it = await scene();
    const context = it.context('one');
    await until(it, context, ['soaking']);
    await endUnasked(it.db, 'east-1-1', 2);
    const paused = await until(it, context, ['paused']);
    assert.match(paused.pauseReason ?? '', /after the waves: .*exited unexpectedly or lost their lease 2 times/);
    await resume(it, acceptGate);
    await looks(it, context, 5);
    assert.equal((await it.upgrade()).state, 'soaking');
    await endUnasked(it.db, 'west-1-1', 2);
    await until(it, context, ['paused']);
    await resume(it, acceptGate);
    await looks(it, context, 1);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    await until(it, context, ['done']);
  });
}

test('devices that were silent before a pause do not pause it again, alone in the new window', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await it.db`
    with d as (
      insert into device (id, account_id, token, platform, state, scep_challenge)
      select gen_random_uuid(), id, 'device-' || name || n, 'apple', 'active', 'c' from account, generate_series(1, 20) n
      returning id, account_id, right(token, 1) = '0' as silent)
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, move_id, settled_at, handed_out_at)
    select gen_random_uuid(), d.account_id, d.id, 'it-policy', 'move', true, case when silent then 'suspect' else 'done' end,
           m.id, case when silent then null else now() end, now() - interval '5 minutes'
      from d join account_move m on m.account_id = d.account_id`;
  await looks(it, context, 3);
  assert.equal((await it.upgrade()).state, 'soaking', 'a tenth is silent, and a quarter may be');
  await it.db.begin((tx) => pauseByOperator(tx, operator));
  await resume(it);
  await looks(it, context, 3);
  assert.equal((await it.upgrade()).state, 'soaking');
});

test(
  'a wave that an operator answers for moves to its end, and what befell it pauses nothing later',
  limited,
  async () => {
    const it = await scene();
    const context = it.context('one');
    await until(it, context, ['moving']);
    for (let round = 0; round < 50 && (await countAt(it.db, '%-1-1')) < 1; round++) {
      await looks(it, context, 1, { maxMoves: 1 });
    }
    await endUnasked(it.db, 'east-1-1', 2);
    await endUnasked(it.db, 'west-1-1', 2);
    await until(it, context, ['paused'], { maxMoves: 0 });
    assert.deepEqual(await wavesOf(it), ['failed', 'waiting']);
    const moved = await countAt(it.db, '%-1-1');
    await resume(it, true);
    await stepOnce(context);
    assert.deepEqual(await wavesOf(it), ['running', 'waiting'], `${moved} of its accounts have moved`);
    await endUnasked(it.db, 'east-1-1', 2);
    await until(it, context, ['soaking']);
    const events = await it.db<{ message: string }[]>`select message from upgrade_event order by id`;
    const said = events.map(({ message }) => message).join('\n');
    assert.match(
      said,
      /tester takes responsibility for wave 1 and resumes.*wave 1 \(canary\) has moved, and tester takes responsibility for it/s,
    );
    await looks(it, context, 5);
    assert.equal((await it.upgrade()).state, 'soaking', 'after the waves they are not held against it either');
  },
);

test('a gate is answered for only where one has paused, and the refusal says where it stands', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['expanded']);
  await it.db.begin((tx) => pauseByOperator(tx, operator));
  await assert.rejects(resume(it, true), {
    code: 'ERR_UPGRADE_STATE',
    message: /No gate has paused .* paused in expanded, and the reason for the pause is: by tester\. Resume without/,
  });
  await resume(it);
  await until(it, context, ['moving']);
  await stepOnce(context);
  await it.db.begin((tx) => pauseByOperator(tx, operator));
  await assert.rejects(resume(it, true), {
    code: 'ERR_UPGRADE_STATE',
    message: /wave 1 \(canary\) is running, .* by tester\. Resume/,
  });
  assert.equal((await it.upgrade()).state, 'paused');
  await resume(it);
  await until(it, context, ['soaking']);
});

test(
  'a wave that is observed when somebody pauses it is nobody’s to accept, whatever its gate said so far',
  limited,
  async () => {
    const it = await scene({ canaries: ['east-0'], soakSeconds: 3600, gate: { patienceSeconds: 0 } });
    const context = it.context('one');
    const refused = async (why: RegExp) => {
      const before = await it.upgrade();
      await assert.rejects(resume(it, true), { code: 'ERR_UPGRADE_STATE', message: why });
      assert.deepEqual(await it.upgrade(), before);
      assert.equal((await listWaves(it.db, before.id))[0]?.gate?.['acceptedBy'], undefined);
    };
    const looked = async () => {
      for (let round = 0; round < 100; round++) {
        await looks(it, context, 1, { silent: true });
        const [wave] = await listWaves(it.db, (await it.upgrade()).id);
        if (wave?.state === 'soaking' && wave.gate?.['answer'] !== undefined) return;
      }
      assert.fail('the gate never looked');
    };
    // A soak that is over, and no patience beyond it: an undecided gate stops the wave.
    const stopped = async () => {
      await looked();
      await it.db`update upgrade_wave set soaking_at = soaking_at - interval '2 hours' where state = 'soaking'`;
      assert.match((await until(it, context, ['paused'], { silent: true })).pauseReason ?? '', /undecided/);
    };
    await looked();
    await it.db.begin((tx) => pauseByOperator(tx, { ...operator, reason: 'lunch' }));
    await refused(/paused in moving, wave 1 \(canary\) is soaking, and .* by tester: lunch\. Resume/);
    await resume(it);
    await stopped();
    await resume(it);
    await it.db.begin((tx) => pauseByOperator(tx, operator));
    await refused(/by tester/);
    await resume(it);
    await stopped();
    await resume(it, true);
    const report = await readUpgradeReport(it.db, await it.upgrade(), []);
    assert.deepEqual(
      report.waits.filter(({ what }) => what === 'gate' || what === 'soak'),
      [],
      'nothing is waited for that an operator has answered for',
    );
    assert.match(reportText(report), /1\. canary: soaking.*; gate: accepted by tester \(verdict: undecided: /);
  },
);
