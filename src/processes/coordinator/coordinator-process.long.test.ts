import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMigrations } from '../../database/migration-files.ts';
import { ownRelease } from '../../registry/own-release.ts';
import { migrationFolder } from '../../release/program.ts';
import { untilDone } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { readLatestUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { superviseOnce } from '../../upgrade/steps/domain-fixture.ts';
import {
  askCoordinator,
  db,
  observed,
  observeRequests,
  prepare,
  startCoordinator,
  untilAtWork,
} from './coordinator-process-fixture.ts';

test('a coordinator process that is killed (kill -9) at each state is followed by one that goes on to the end', async () => {
  const token = await prepare();
  let child = await startCoordinator();
  const seen = new Set(['checked']);
  await untilDone('the upgrade is done', 120_000, async () => {
    await superviseOnce(db);
    await db`update delivery set state = 'done', settled_at = now() where state = 'owed'`;
    const upgrade = await readLatestUpgrade(db);
    assert.ok(upgrade);
    if (upgrade.state === 'done') return null;
    if (observed.has(upgrade.state)) await observeRequests();
    assert.notEqual(upgrade.state, 'paused', upgrade.pauseReason ?? '');
    if (!seen.has(upgrade.state)) {
      seen.add(upgrade.state);
      child.kill('SIGKILL');
      await exitWithin(child, 60_000, 'the coordinator that was killed');
      child = await startCoordinator();
    } else if (upgrade.state === 'soaking') {
      await askCoordinator(token, 'finalize');
    }
    const [steps] = await db<{ count: number }[]>`
      select ((select count(*) from upgrade_event) + (select count(*) from migration)
              + (select count(*) from account_move where settled_at is not null))::int as count`;
    return `${upgrade.state} after ${steps?.count} steps, ${upgrade.progress.waitingFor}`;
  });
  const [domain] = await db`select release, feature_level, schema_version from domain`;
  assert.deepEqual(
    { ...domain },
    {
      release: ownRelease,
      feature_level: ownRelease,
      schema_version: (await readMigrations(migrationFolder())).length,
    },
  );
  const served = await db`
    select c.name, i.name as instance from connection_service_instance r
      join connection_service c on c.id = r.connection_service_id join instance i on i.id = r.instance_id order by 1`;
  assert.deepEqual(
    served.map((row) => [row['name'], row['instance']]),
    [
      ['east-mds', 'east'],
      ['east-mds-1-2', 'east-1-2'],
    ],
  );
  assert.equal((await db`select 1 from account_move`).length, 4);
  const owed = await db<{ accounts: number; items: number }[]>`
    select count(distinct m.account_id)::int as accounts, count(distinct d.item)::int as items
      from delivery d join account_move m on m.id = d.move_id where d.cause = 'move'`;
  assert.deepEqual([...owed], [{ accounts: 4, items: 3 }], 'each device was owed everything anew');
  assert.equal((await db`select 1 from instance`).length, 2);
  await untilAtWork(child);
  child.kill('SIGTERM');
  assert.equal(await exitWithin(child, 60_000, 'the last coordinator'), 0);
});
