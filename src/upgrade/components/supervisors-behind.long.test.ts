import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { finalizeByOperator } from '../operations/operator-actions.ts';
import { readUpgradeReport } from '../report/report.ts';
import { reportText } from '../report/report-text.ts';
import { operator, scene, until } from '../steps/scene-fixture.ts';

/** Finalizing with a supervisor of an earlier release, as far as it goes. */
async function waitingForSupervisor(release: string | null) {
  const it = await scene();
  const context = it.context('one');
  if (release !== null) {
    await it.db`
      insert into supervisor (host, release, process_id, node_version, postgres_server)
      values ('here', ${release}, 2, 'v26.0.0', '18.4')`;
  }
  await until(it, context, ['soaking']);
  if (release === null) await it.db`update supervisor set seen_at = now() - interval '1 hour', process_id = 2`;
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  for (let round = 0; round < 30; round++) {
    await stepOnce(context);
    await it.world();
  }
  const upgrade = await it.upgrade();
  assert.match(
    upgrade.progress.waitingFor ?? '',
    /supervisors of an earlier release: here \(.*releases\/1\.1\.0\/bramble/,
  );
  const [domain] = await it.db`select feature_level from domain`;
  assert.equal(domain?.['feature_level'], '1.0.0');
  assert.equal((await it.db`select 1 from component where release <> '1.1.0'`).length, 0, 'nothing else is left');
  return { it, context, upgrade };
}

test('finalizing waits for a supervisor of an earlier release, with what to type, and goes on by itself', async () => {
  const { it, context, upgrade } = await waitingForSupervisor('1.0.0');
  const report = await readUpgradeReport(it.db, upgrade, []);
  const [wait] = report.waits
    .filter(({ what }) => what === 'old-supervisor')
    .filter(({ who }) => who.includes('here (1.0.0)'));
  assert.match(
    wait?.command ?? '',
    /releases\/1\.1\.0\/bramble\.mjs" up .*; or without them: .*--leave-supervisor here/,
  );
  // What is typed neither ends with its terminal nor lets a service manager end everything.
  for (const text of [`${wait?.why} ${wait?.command}`, upgrade.progress.waitingFor ?? '']) {
    assert.match(text, /KillMode=process/);
    assert.match(text, /setsid .* up <\/dev\/null >>.*supervisor\.log" 2>&1 &/);
    assert.match(text, /terminal that you will close/);
  }
  assert.match(reportText(report), /Supervisors\n {2}here \(1\.0\.0\): Node\.js 26\.0\.0, PostgreSQL 18\.4\n/);
  await it.db`update supervisor set release = '1.1.0', seen_at = now()`;
  await until(it, context, ['done']);
});

test('one that was not heard of lately counts as of an earlier release; an operator leaves it out by its host', async () => {
  const { it, context } = await waitingForSupervisor(null);
  const leave = (host: string) =>
    it.db.begin((tx) => finalizeByOperator(tx, { ...operator, leaveSupervisors: [host] }));
  await assert.rejects(leave('nowhere'), { code: 'ERR_NOT_FOUND' });
  await leave('here');
  await until(it, context, ['done']);
});

test('a host of 1.1, whose supervisor says nothing, is listed', async () => {
  const it = await scene();
  const [here, ...others] = await listSupervisors(it.db);
  assert.deepEqual([here?.host, here?.wanted, here?.release, here?.atWork, others], ['here', true, null, false, []]);
});
