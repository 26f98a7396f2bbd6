/** What a coordinator does before it expands the schema, it does on that of the release before. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { createEarlierTestDatabase } from '../../database/database-fixture.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { readUpgradeReport } from '../report/report.ts';
import { scene } from './scene-fixture.ts';

/** The sealed release from which upgrades to this one start. */
const before = path.join(import.meta.dirname, '..', '..', '..', 'releases', 'bramble-1.4.0.tgz');

test('an upgrade is planned, checked and fenced on the schema of the release before', {
  timeout: 120_000,
}, async () => {
  const manifest = execFileSync('tar', ['-xOzf', before, 'manifest.json'], { encoding: 'utf8', timeout: 30_000 });
  const { schemaVersion } = JSON.parse(manifest) as { schemaVersion: number };
  const it = await scene({}, '1.1.0', await createEarlierTestDatabase(schemaVersion));
  for (let round = 0; round < 20 && (await it.upgrade()).state !== 'admin-fenced'; round++) {
    await stepOnce(it.context('one'));
    await it.world({ silent: true });
  }
  const { state, progress } = await it.upgrade();
  assert.equal(state, 'admin-fenced', progress.waitingFor ?? '');
  assert.ok(await readUpgradeReport(it.db, await it.upgrade(), []));
});
