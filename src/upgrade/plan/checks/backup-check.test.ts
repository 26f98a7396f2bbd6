import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { upgradePlanSchema } from '../../../api/upgrade-plan.ts';
import { openDatabase } from '../../../database/connection.ts';
import { createTestDatabase } from '../../../database/database-fixture.ts';
import { readDomain } from '../../../domain/domain.ts';
import { listVerifications, recordVerifiedBackup, type VerifiedBackup } from '../../../domain/verified-backups.ts';
import { insertTestDomain } from '../../steps/domain-fixture.ts';
import { checkBackup } from './backup-check.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
const home = await mkdtemp(join(tmpdir(), 'bramble-checks-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});
await insertTestDomain(db);
const domain = await readDomain(db);

const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const good: VerifiedBackup = {
  ...{ id: randomUUID(), sha256: 'ab'.repeat(32), file: '/mnt/example.backup', takenAt: hoursAgo(1) },
  ...{ domainId: domain.domainId, domain: domain.name, release: domain.release, schemaVersion: domain.schemaVersion },
  ...{ verifiedAt: hoursAgo(0), verifiedBy: 'ada', found: { tables: 50, rows: 1000, started: 'it' } },
};
const check = async (plan: object = {}) =>
  await checkBackup({ db, home }, { plan: upgradePlanSchema.parse({ options: {}, ...plan }) });

test('a backup counts if it is of this domain as it is, was restored, and is not old', async () => {
  for (const text of ['', '{}', '{"format":1,"backups":[]}']) {
    await writeFile(join(home, 'backup-verified.json'), text);
    const { result, message } = await check();
    assert.equal(result, 'warning', text);
    assert.match(message, /No backup of this domain.*`bramble backup verify`.*--override backup/);
  }
  const cases: [Partial<VerifiedBackup>, RegExp][] = [
    [{ domainId: randomUUID(), domain: 'Other' }, /of another domain, "Other"/],
    [{ release: '0.9.0' }, /is of release 0\.9\.0 with schema/],
    [{ schemaVersion: domain.schemaVersion - 1 }, /of release .* with schema/],
    [{ takenAt: hoursAgo(25) }, /is 25 hours old, and at most 24/],
  ];
  for (const [difference, expected] of cases) {
    await recordVerifiedBackup(home, { ...good, ...difference });
    const { result, message } = await check();
    assert.equal(result, 'warning');
    assert.match(message, expected);
  }
  await recordVerifiedBackup(home, good);
  const { result, message } = await check();
  assert.equal(result, 'passed');
  assert.match(message, /\/mnt\/example\.backup, as of .*, verified by ada, SHA-256 abababab/);
  await recordVerifiedBackup(home, { ...good, domainId: randomUUID() });
  assert.equal((await check()).result, 'passed', 'one of another domain takes nothing away');
});

test('of several that were verified the newest counts, and each is known', async () => {
  const [recent, older] = [
    { ...good, id: randomUUID() },
    { ...good, id: randomUUID(), takenAt: hoursAgo(30) },
  ];
  for (const backup of [recent, older]) await recordVerifiedBackup(home, backup);
  assert.equal((await check()).result, 'passed');
  const verified = await listVerifications(home);
  assert.ok(verified.has(recent.id) && verified.has(older.id));
});

test('a patch needs none', async () => {
  await rm(join(home, 'backup-verified.json'), { force: true });
  assert.equal((await check({ patch: true })).result, 'passed');
});
