/** Retention: asked over REST and `bramble`, carried out by the upkeep of an administration service, as its role. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { addAgedRecords, tamper } from '../../access/audit/aged-audit-fixture.ts';
import { systemClock } from '../../base/clock.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { openDatabase } from '../../database/connection.ts';
import { stopOwnCluster, useOwnCluster } from '../../database/database-fixture.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { codeOf, startAdministration, whileUpgrading } from './administration-fixture.ts';
import { createRetentionUpkeep } from './retention-upkeep.ts';

// Records are sealed once no transaction of the whole cluster is older.
useOwnCluster();
const admin = await startAdministration();
const { db, context, home } = admin;
let asRole: ReturnType<typeof openDatabase>;
before(async () => {
  await establishRoles(admin.databaseUrl, home);
  const address = urlForRole(admin.databaseUrl, (await readRoleCredentials(home)).get('administration'));
  asRole = openDatabase(address, { applicationName: 'bramble/administration/admin-1@test#2', max: 2 });
});
after(async () => {
  await asRole?.end({ timeout: 5 });
  await admin.close();
  await stopOwnCluster();
});

const bramble = (...argv: string[]) => runBramble(admin, argv);
const turn = async (clock = systemClock) => {
  const { release, name } = context;
  await createRetentionUpkeep({ db: asRole, release, name, home, clock, log: silentLogger }).turn();
};
const left = async () => {
  const [row] = await db<{ records: number; events: number }[]>`
    select (select count(*)::int from audit_record where 'aged-1' = any(subjects) and at < now() - interval '90 days') as records,
           (select count(*)::int from event where kind = 'aged') as events`;
  return [row?.records, row?.events];
};

test('what is older than it is kept is removed by the upkeep; the audit says by whom, and stays intact', async () => {
  await addAgedRecords(db, 2500, 500);
  await addAgedRecords(db, 1, 399.5);
  await addAgedRecords(db, 3, 100);
  await db`insert into event (kind, message, at) select 'aged', 'x', now() - interval '100 days' from generate_series(1, 2500)`;
  await turn();
  assert.deepEqual(await left(), [3, 2500]);

  assert.equal((await admin.call('PUT', '/retention', { auditDays: 29 })).status, 400);
  assert.equal((await admin.call('PUT', '/retention', { eventDays: 6 })).status, 400);
  assert.equal((await admin.call('PUT', '/retention', { sampleDays: null })).status, 400);
  const set = await bramble('retention', 'set', '--audit', '400d', '--events', '12w', '--samples', '30d');
  assert.equal(set.code, 0, set.errors);
  assert.match(set.output, /audit +400 days/);
  assert.match(set.output, /events +84 days/);
  assert.match(set.output, /samples +30 days/);
  await turn();
  assert.deepEqual(await left(), [2, 0]);
  await turn({ ...systemClock, now: () => systemClock.now() + 400 * 86_400_000 });
  assert.deepEqual(await left(), [2, 0], 'a host whose clock is ahead removes nothing more');
  const oldest = (await bramble('--json', 'retention', 'show')).output;
  const age = Date.now() - Date.parse(JSON.parse(oldest).audit.oldest);
  assert.equal(Math.floor(age / 86_400_000), 399);

  const verified = await bramble('audit', 'verify');
  assert.equal(verified.code, 0, verified.output);
  assert.match(verified.output, /begins +at \d{4} after a cut by admin-1 on \d{4}-/);
  const listed = await bramble('audit', 'list', '--operation', 'shorten audit');
  assert.match(listed.output, /admin-1 +shorten audit .*insert audit_cut/);
  // What came of age within the last day waits for the next.
  await bramble('retention', 'set', '--audit', '399d');
  await turn();
  assert.equal((await db`select from audit_cut`).length, 1);
});

test('bramble audit cut exports what it removes first, and asks; the export is kept for what was cut', async () => {
  const path = join(home, 'cut.jsonl');
  const none = await bramble('audit', 'cut', '--before', '2020-01-01', '--yes');
  assert.match(none.output, /Nothing was removed/);
  const day = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString();
  const asked = await bramble('audit', 'cut', '--before', day(90));
  assert.match(asked.errors, /Remove the records \d+ to \d+ of the audit for good\? They have not been exported\./);
  assert.equal(asked.code, 2);
  const taken = join(home, 'keys', 'audit.json');
  const refused = await bramble('audit', 'cut', '--before', day(90), '--export', taken, '--yes');
  assert.match(refused.errors, /exists already/);
  const cut = await bramble('audit', 'cut', '--before', day(90), '--export', path, '--yes');
  assert.equal(cut.code, 0, cut.errors);
  const exported = await readFile(path, 'utf8');
  assert.ok(cut.output.includes(createHash('sha256').update(exported).digest('hex')));
  assert.ok(exported.includes('aged-1'));
  await turn();
  assert.deepEqual(await left(), [0, 0]);
  assert.equal((await bramble('audit', 'verify', '--file', path)).code, 0);
  assert.match((await bramble('audit', 'verify')).output, /after a cut by first on/);
  assert.match((await bramble('audit', 'cut', '--before', day(0), '--yes')).output, /Nothing was removed/);
});

test('events of the last week stay, whoever deletes them', async () => {
  await assert.rejects(asRole`delete from event`.execute(), /append-only/);
  await tamper(db, "update event set at = now() - interval '8 days'");
  await asRole`delete from event`;
});

test('a time shorter than is sensible, or that is none, is refused before anything is asked', async () => {
  for (const text of ['400', 'x', '-3d', ''])
    assert.equal((await bramble('retention', 'set', '--audit', text)).code, 2);
  assert.equal((await bramble('retention', 'set')).code, 2);
  const short = await bramble('retention', 'set', '--audit', '3d');
  assert.match(short.errors, /--audit.*30/);
});

test('until the upgrade is finalized nothing is cut or chosen: the release before would take a cut for a forgery', async () => {
  await whileUpgrading(admin, async () => {
    const chosen = await admin.call('PUT', '/retention', { eventDays: 30 });
    assert.deepEqual([chosen.status, codeOf(chosen.body)], [409, 'ERR_FEATURE_LOCKED']);
    const cut = await admin.call('POST', '/audit/cuts', { number: 1, chain: 'a'.repeat(64) });
    assert.deepEqual([cut.status, codeOf(cut.body)], [409, 'ERR_FEATURE_LOCKED']);
  });
});
