/** Windows in a running upgrade: nothing new starts outside of them, and what has started ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { pauseByOperator, resumeByOperator } from '../operations/operator-actions.ts';
import { changeByOperator } from '../operations/options-change.ts';
import { readUpgradeReport } from '../report/report.ts';
import { listWaves } from '../state/wave-store.ts';
import { countAt, operator, type Scene, scene, until, windowIn } from './scene-fixture.ts';
import type { StepContext } from './step-context.ts';

const limited = { timeout: 120_000 };
const closed = () => [windowIn(2, 1)];

async function looks(it: Scene, context: StepContext, times: number, options = {}): Promise<void> {
  for (let look = 0; look < times; look++) {
    await stepOnce(context);
    await it.world(options);
  }
}

const setWindows = async (it: Scene, windows: string[]) =>
  await it.db.begin((tx) =>
    changeByOperator(tx, { ...operator, change: { windows }, platforms: registeredPlatforms, host: 'here' }),
  );
const statesOf = async (it: Scene) => (await listWaves(it.db, (await it.upgrade()).id)).map(({ state }) => state);
const runningBatches = async (it: Scene) =>
  (
    await it.db`select 1 from move_batch b where state = 'running'
     and exists (select 1 from account_move m where m.batch_id = b.id and m.state = 'queued')`
  ).length;

test('no wave begins while no window is open, and the status says when the next one is', limited, async () => {
  const it = await scene({ windows: closed() });
  const context = it.context('one');
  await until(it, context, ['moving']);
  await looks(it, context, 10);
  assert.deepEqual(new Set(await statesOf(it)), new Set(['waiting']));
  assert.equal(await countAt(it.db, '%-1-1'), 0);
  const upgrade = await it.upgrade();
  assert.match(upgrade.progress.waitingFor ?? '', /^the window that opens at 20.* \(daily .* UTC\)$/);
  const wait = (await readUpgradeReport(it.db, upgrade, [])).waits.find(({ what }) => what === 'window');
  assert.match(wait?.why ?? '', /nothing new starts outside of the windows, .* the next one is daily/);
  assert.ok(wait?.until && wait.until > new Date());
  await setWindows(it, ['daily 00:00-24:00 UTC']);
  await until(it, context, ['soaking']);
});

test(
  'a window that closes holds the moves of its wave that have not started, and no deadline runs',
  limited,
  async () => {
    const it = await scene({ canaries: ['east-0', 'east-1', 'west-0', 'west-1'] });
    const context = it.context('one');
    await until(it, context, ['moving']);
    for (let round = 0; round < 50 && (await countAt(it.db, '%-1-1')) === 0; round++) {
      await looks(it, context, 1, { maxMoves: 1 });
    }
    await setWindows(it, closed());
    const moved = await countAt(it.db, '%-1-1');
    assert.equal(await runningBatches(it), 1);
    await it.world();
    assert.equal(await countAt(it.db, '%-1-1'), moved, 'also while no coordinator looks');
    await stepOnce(context);
    assert.equal(await runningBatches(it), 0, 'at the first look');
    assert.ok(moved > 0 && moved < 4);
    await it.db`update upgrade_wave set started_at = started_at - interval '10 hours' where state = 'running'`;
    await looks(it, context, 10);
    assert.equal(await countAt(it.db, '%-1-1'), moved);
    assert.equal((await it.upgrade()).state, 'moving', 'four hours are its deadline, but the window was closed');
    await it.db.begin((tx) => pauseByOperator(tx, operator));
    await it.db.begin((tx) => resumeByOperator(tx, operator));
    assert.equal(await runningBatches(it), 0, 'resuming the upgrade opens no window');
    await setWindows(it, []);
    await until(it, context, ['soaking']);
    const events = await it.db<{ message: string }[]>`select message from upgrade_event order by id`;
    const said = events.map(({ message }) => message).join('\n');
    assert.match(
      said,
      /moves that have not started wait for the window that opens at .*moves that waited for a window go on/s,
    );
  },
);

test('a deadline that is longer than its window is counted over several of them', limited, async () => {
  const it = await scene({ windows: [windowIn(-1, 3)], waveDeadlineSeconds: 4 * 3600 });
  const context = it.context('one');
  await until(it, context, ['moving']);
  for (let round = 0; round < 50 && !(await statesOf(it)).includes('running'); round++) {
    await looks(it, context, 1, { maxMoves: 0 });
  }
  await it.db`update upgrade_wave set started_at = started_at - interval '1 day' where state = 'running'`;
  await looks(it, context, 3, { maxMoves: 0 });
  assert.equal((await it.upgrade()).state, 'moving', 'the windows of today and of yesterday were open for less');
  await it.db`update upgrade_wave set started_at = started_at - interval '1 day' where state = 'running'`;
  const paused = await until(it, context, ['paused'], { maxMoves: 0 });
  assert.match(paused.pauseReason ?? '', /^wave 1 has not settled in 14400 s/);
});

test('accounts that come after the waves wait for a window, too', limited, async () => {
  const it = await scene();
  const context = it.context('one');
  await until(it, context, ['soaking']);
  await setWindows(it, closed());
  await it.db`
    with made as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'late', 'late', id from instance where name = 'east' returning id, epoch, instance_id)
    insert into account_epoch (account_id, epoch, instance_id) select id, epoch, instance_id from made`;
  await looks(it, context, 5);
  assert.equal(await countAt(it.db, 'east'), 1);
  assert.match(
    (await it.upgrade()).progress.waitingFor ?? '',
    /the window that opens at .*; 1 account that came meanwhile/,
  );
  await setWindows(it, []);
  await looks(it, context, 10);
  assert.equal(await countAt(it.db, 'east'), 0);
});

test('in place, no instance is replaced while no window is open', limited, async () => {
  const it = await scene({ windows: closed() }, '1.0.1');
  const context = it.context('one');
  await until(it, context, ['moving']);
  await looks(it, context, 5);
  assert.deepEqual(new Set(await statesOf(it)), new Set(['waiting']));
  await setWindows(it, []);
  await until(it, context, ['soaking']);
});
