import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { manifestName, programName } from '../../release/manifest.ts';
import { untilDone } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { readLatestUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { superviseOnce } from '../../upgrade/steps/domain-fixture.ts';
import {
  askCoordinator,
  db,
  home,
  observed,
  observeRequests,
  prepare,
  sealedRelease,
  startCoordinator,
  untilAtWork,
} from './coordinator-process-fixture.ts';

/** All that it logs and all moves: whenever there is more, something was just committed. */
async function countSteps(): Promise<number> {
  const [row] = await db<{ count: number }[]>`
    select ((select count(*) from upgrade_event) + (select count(*) from account_move where committed_at is not null))::int as count`;
  return row?.count ?? 0;
}

async function installEarlierRelease(): Promise<void> {
  const folder = join(home, 'releases', sealedRelease);
  await mkdir(folder, { recursive: true });
  for (const name of [manifestName, programName]) await writeFile(join(folder, name), '');
}

test('a coordinator process that is killed (kill -9) behind each step of reversing is followed by one that goes on', async () => {
  const token = await prepare();
  let child = await startCoordinator();
  let steps = 0;
  let kills = 0;
  const reasons: string[] = [];
  await untilDone('the upgrade is reversed', 180_000, async () => {
    await superviseOnce(db);
    await db`update delivery set state = 'done', settled_at = now() where state = 'owed'`;
    const { state, pausedFrom, pauseReason, progress } = (await readLatestUpgrade(db)) ?? assert.fail('no upgrade');
    if (state === 'reversed') return null;
    if (observed.has(state)) await observeRequests();
    if (state === 'soaking') await askCoordinator(token, 'reverse');
    if (state === 'paused') {
      reasons.push(pauseReason ?? '');
      await installEarlierRelease();
      await askCoordinator(token, 'resume');
    }
    const now = await countSteps();
    if ((pausedFrom ?? state) === 'reversing' && now > steps) {
      kills += 1;
      child.kill('SIGKILL');
      await exitWithin(child, 60_000, 'the coordinator that was killed');
      child = await startCoordinator();
    }
    steps = now;
    return `${state} after ${now} steps and ${kills} kills, ${progress.waitingFor}`;
  });
  assert.match(reasons[0] ?? '', /^release 1\.3\.0 is not installed on here any more/);
  assert.ok(kills >= 5, `${kills} kills`);
  const [domain] = await db`select release, feature_level as level from domain`;
  assert.deepEqual({ ...domain }, { release: sealedRelease, level: sealedRelease });
  const homes = await db`select distinct i.name from account a join instance i on i.id = a.instance_id`;
  assert.deepEqual([...homes], [{ name: 'east' }]);
  const twice = await db`
    select 1 from account_move m join move_batch b on b.id = m.batch_id
     where b.purpose = 'reverse' and m.committed_at is not null group by m.account_id having count(*) > 1`;
  assert.equal(twice.length, 0, 'everybody came home once');
  await untilAtWork(child);
  child.kill('SIGTERM');
  assert.equal(await exitWithin(child, 60_000, 'the last coordinator'), 0);
});
