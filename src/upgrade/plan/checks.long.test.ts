import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { readMigrations } from '../../database/migration-files.ts';
import { createMasterKeys, writeMasterKeys } from '../../database/sealed-value.ts';
import { storedReleases } from '../../distribution/release-store.ts';
import { loadInstanceAuthorities } from '../../domain/authorities.ts';
import { createAuthorities } from '../../domain/authority-creation.ts';
import { keepReleaseSigner, readReleaseSigner } from '../../domain/release-signer.ts';
import { createInstance } from '../../instances/instances.ts';
import { readCredential } from '../../link/credential.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { installArchive } from '../../release/archive.ts';
import { manifestName, programName } from '../../release/manifest.ts';
import { migrationFolder } from '../../release/program.ts';
import { testSigner, writeTestArchive } from '../../release/signed-archive-fixture.ts';
import { thisRelease } from '../../release/this-release.ts';
import { until } from '../../testing/condition.ts';
import { writePlan } from '../operations/operator-actions.ts';
import { domainEffects } from '../steps/domain-effects.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess } from '../steps/domain-fixture.ts';
import type { CheckOptions } from './checks/check.ts';
import { runChecks } from './checks.ts';
import { listAccountTables, lossesOf } from './loss-manifest.ts';
import { obstaclesOf, rehearseMigration } from './rehearsal.ts';
import { testRehearsal } from './rehearsal-fixture.ts';
import { recordRehearsal } from './rehearsal-record.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
const home = await mkdtemp(join(tmpdir(), 'bramble-checks-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});
await insertTestDomain(db);
await insertTestInstance(db, { name: 'east', accounts: 1 });
const masterKeys = createMasterKeys();
await mkdir(join(home, 'keys'));
await mkdir(join(home, 'credentials'));
await writeMasterKeys(join(home, 'keys', 'master.json'), masterKeys);
await createAuthorities(db, masterKeys, { name: 'test' });

/** A next release: the present migrations and one more. */
async function nextRelease(statement: string): Promise<string> {
  const folder = await mkdtemp(join(home, 'sql-'));
  await cp(migrationFolder(), folder, { recursive: true });
  const number = (await readMigrations(folder)).length + 1;
  await writeFile(join(folder, `${String(number).padStart(3, '0')}-next.expand.sql`), statement);
  return folder;
}

const rehearse = (folder: string) =>
  rehearseMigration({
    databaseUrl: database.url,
    from: { folder: migrationFolder(), release: '1.0.0' },
    to: { folder, release: '1.1.0' },
    applicationName: 'bramble/test',
  });
const scratchDatabases = async () =>
  (await db<{ name: string }[]>`select datname as name from pg_database where datname like 'bramble_rehearsal_%'`).map(
    ({ name }) => name,
  );
const untilDropped = () =>
  until('no scratch database is left', 60_000, async () => (await scratchDatabases()).length === 0);

test('an additive migration is rehearsed on a scratch database, which is dropped again', async () => {
  const folder = await nextRelease(
    'alter table instance add column note text; create table extra (id uuid primary key);',
  );
  const { length: schemaVersion } = await readMigrations(folder);
  assert.deepEqual(await rehearse(folder), { schemaVersion, obstacles: [] });
  await untilDropped();
});

test('a rehearsal waits for no dropping of its scratch database, and a later one drops what was left', async () => {
  await db`create database bramble_rehearsal_1000000000_0123456789ab`;
  const rehearsing = rehearse(await nextRelease('select 1;'));
  let own: string | undefined;
  await until('the scratch database is there', 60_000, async () => {
    own = (await scratchDatabases()).find((name) => name !== 'bramble_rehearsal_1000000000_0123456789ab');
    return own !== undefined;
  });
  await db.begin(async (held) => {
    // Dropping needs this lock alone.
    await held.unsafe(`comment on database ${own} is 'held'`);
    const limit = new AbortController();
    const late = delay(60_000, 'still waiting', { signal: limit.signal }).catch(() => undefined);
    const outcome = await Promise.race([rehearsing, late]).finally(() => limit.abort());
    assert.deepEqual(outcome, { schemaVersion: (await readMigrations(migrationFolder())).length + 1, obstacles: [] });
    assert.ok((await scratchDatabases()).includes(own ?? ''));
  });
  await untilDropped();
});

/** Migrations up to a release's last one. */
async function migrationsUpTo(last: number): Promise<string> {
  const folder = await mkdtemp(join(home, 'sql-'));
  const isOf = (source: string) => !(Number.parseInt(basename(source), 10) > last);
  await cp(migrationFolder(), folder, { recursive: true, filter: isOf });
  return folder;
}

for (const [old, next] of [
  [
    { release: '1.0.0', last: 6 },
    { release: '1.1.0', last: 8, schemaVersion: 7 },
  ],
  [
    { release: '1.1.0', last: 8 },
    { release: '1.2.0', last: 21, schemaVersion: 19 },
  ],
  [
    { release: '1.2.0', last: 21 },
    { release: '1.3.0', last: 23, schemaVersion: 22 },
  ],
  [
    { release: '1.3.0', last: 23 },
    { release: '1.4.0', last: 34, schemaVersion: 33 },
  ],
  [
    { release: '1.4.0', last: 34 },
    { release: thisRelease.release, last: Number.POSITIVE_INFINITY, schemaVersion: thisRelease.schemaVersion },
  ],
] as const) {
  test(`${old.release} could work on what the additive migrations of ${next.release} make of its schema`, async () => {
    const rehearsal = await rehearseMigration({
      databaseUrl: database.url,
      from: { folder: await migrationsUpTo(old.last), release: old.release },
      to: { folder: await migrationsUpTo(next.last), release: next.release },
      applicationName: 'bramble/test',
    });
    assert.deepEqual(rehearsal, { schemaVersion: next.schemaVersion, obstacles: [] });
  });
}

test('a migration that the old release could not work with is found out, and one that fails is thrown', async () => {
  const folder = await nextRelease(
    'alter table instance add column note text not null; alter table event drop column subject;',
  );
  const { obstacles } = await rehearse(folder);
  assert.deepEqual(obstacles, ['event.subject is missing', 'instance.note is new and mandatory']);
  await assert.rejects(rehearse(await nextRelease('alter table nothing add column x text;')), /nothing/);
  await untilDropped();
});

test('a column that becomes required or changes its type is an obstacle', () => {
  const column = (type: string, required: boolean) => ({ place: 't.c', type, required });
  assert.equal(obstaclesOf([column('text', false)], [column('text', true)]).length, 1);
  assert.equal(obstaclesOf([column('text', false)], [column('integer', false)]).length, 1);
  assert.equal(obstaclesOf([column('text', true)], [column('text', false)]).length, 0);
});

test('every table that holds data of accounts is known, and one that is not would be an entry', async () => {
  assert.deepEqual(lossesOf(await listAccountTables(db)), []);
  await db`create table note_of_account (account_id uuid, text text)`;
  assert.deepEqual(
    lossesOf(await listAccountTables(db)).map((loss) => loss.what),
    ['the table note_of_account'],
  );
  await db`drop table note_of_account`;
});

const order = {
  by: 'tester',
  target: { release: '1.1.0', features: [], differences: [] },
  host: 'here',
  features: [],
  platforms: registeredPlatforms,
};

test('each check says what it found: errors, warnings that can be overridden, and what passed', async () => {
  const upgrade = await db.begin((tx) => writePlan(tx, order));
  const options: CheckOptions = {
    db,
    databaseUrl: database.url,
    home,
    host: 'here',
    release: '1.1.0',
    migrations: await nextRelease('select 1;'),
    applicationName: 'bramble/test',
  };
  await mkdir(join(home, 'releases', '1.0.0'), { recursive: true });
  await cp(migrationFolder(), join(home, 'releases', '1.0.0', 'sql'), { recursive: true });
  await insertTestProcess(db, { name: 'lost', kind: 'connection', release: '1.0.0' });
  await db`update component set lease_until = now() - interval '1 minute' where name = 'lost'`;
  const begun: string[] = [];
  const begins = async (name: string) => void begun.push(name);
  const found = async () => new Map((await runChecks(options, upgrade, begins)).map((check) => [check.name, check]));
  const results = await found();
  assert.deepEqual(begun, [...results.keys()], 'each is named before it begins');
  const resultOf = (name: string) => results.get(name)?.result;
  assert.deepEqual(
    ['release-step', 'hosts', 'open-moves', 'database', 'disk-room', 'master-key', 'rehearsal', 'losses'].map(resultOf),
    Array.from({ length: 8 }, () => 'passed'),
  );
  assert.equal(resultOf('release-installed'), 'error', 'its folder holds no manifest');
  assert.equal(resultOf('release-signature'), 'error', 'and nothing is there whose signature could be judged');
  assert.equal(resultOf('components'), 'warning');
  assert.equal(resultOf('backup'), 'warning');
  assert.match(results.get('rehearsal')?.message ?? '', /not rehearsed with data: `bramble upgrade rehearse/);
  const [{ domainId } = { domainId: '' }] = await db<
    { domainId: string }[]
  >`select domain_id as "domainId" from domain`;
  await recordRehearsal(home, { ...testRehearsal, domainId, obstacles: ['1.0.0 did not start.'] });
  await db`update component set release = '0.9.0' where name = 'lost'`;
  await rm(join(home, 'keys', 'master.json'));
  const worse = await found();
  assert.deepEqual([worse.get('components')?.result, worse.get('master-key')?.result], ['error', 'error']);
  assert.equal(worse.get('rehearsal')?.result, 'error', 'what a rehearsal with data found cannot be overridden');
  assert.match(worse.get('rehearsal')?.message ?? '', /; but: 1\.0\.0 did not start\.$/);
  const patch = { ...upgrade, plan: { ...upgrade.plan, patch: true } };
  const ofPatch = (await runChecks(options, patch)).find(({ name }) => name === 'rehearsal');
  assert.equal(ofPatch?.result, 'error', 'nor is a patch spared');
});

test('a release of another signer than the domain knows is a warning of its own', async () => {
  await db`truncate upgrade cascade`;
  const upgrade = await db.begin((tx) => writePlan(tx, order));
  const options: CheckOptions = {
    ...{ db, databaseUrl: 'postgres://nobody@127.0.0.1:1/none', home, host: 'here', release: '1.1.0' },
    ...{ migrations: migrationFolder(), applicationName: 'bramble/test' },
  };
  const found = async () => (await runChecks(options, upgrade)).find(({ name }) => name === 'release-signature');
  const [ada, eve] = [testSigner(), testSigner()];
  await installArchive(await writeTestArchive(home, '1.1.0'), { home });
  assert.match((await found())?.message ?? '', /is not signed, and no signer is known/);
  await installArchive(await writeTestArchive(home, '1.1.0', { signer: ada }), { home });
  assert.deepEqual((await found())?.result, 'passed');
  await db.begin((tx) => keepReleaseSigner(tx, { fingerprint: eve.fingerprint, occasion: 'test' }));
  const other = await found();
  assert.equal(other?.result, 'warning');
  assert.match(other?.message ?? '', /--override release-signature/);
  await db`delete from setting where key = 'release-signer'`;
});

test('expanding a domain of an earlier release makes the certificates that it lacks, keeps them, and the first signer', async () => {
  await db`delete from authority where name in ('registration', 'profile-signer')`;
  const signer = testSigner();
  await installArchive(await writeTestArchive(home, '1.2.0', { signer }), { home });
  const effects = domainEffects({
    db,
    databaseUrl: database.url,
    home,
    host: 'here',
    release: '1.2.0',
    migrations: migrationFolder(),
    applicationName: 'bramble/test',
    masterKeys,
  });
  await effects.expand();
  const made = await loadInstanceAuthorities(db, masterKeys);
  assert.notEqual(made.registration, made.device);
  assert.notEqual(made.profileSigner, made.device);
  assert.equal((await readReleaseSigner(db)).fingerprint, signer.fingerprint);
  await db.begin((tx) => keepReleaseSigner(tx, { fingerprint: 'another', occasion: 'test' }));
  await effects.expand();
  assert.deepEqual(await loadInstanceAuthorities(db, masterKeys), made);
  assert.equal((await readReleaseSigner(db)).fingerprint, 'another');
});

test('the release before is stored for hosts that joined during the upgrade, once', async (t) => {
  const { distribute } = domainEffects({
    ...{ db, databaseUrl: database.url, home, host: 'here', release: '1.2.0', migrations: migrationFolder() },
    ...{ applicationName: 'bramble/test', masterKeys },
  });
  t.after(async () => void (await db`delete from host`));
  await installArchive(await writeTestArchive(home, '1.1.9', {}), { home });
  await distribute('1.1.9');
  assert.equal((await storedReleases(db)).size, 0);
  await db`insert into host (name, public_key, administers) values ('joined', '', false)`;
  await distribute('1.1.9');
  assert.deepEqual([...(await storedReleases(db)).keys()], ['1.1.9']);
  await db`update release_package set manifest_sha256 = 'of another build'`;
  await distribute('1.1.9');
  assert.equal((await storedReleases(db)).get('1.1.9'), 'of another build');
});

test('a credential is issued with the router addresses of the one beside it, and its file is the owner’s alone', async () => {
  const options = {
    db,
    databaseUrl: database.url,
    home,
    host: 'here',
    release: '1.1.0',
    migrations: migrationFolder(),
    applicationName: 'bramble/test',
    masterKeys,
  };
  const routers = [{ host: '127.0.0.1', port: 3101, serverName: 'router' }];
  const pem = { certificatePem: 'x', privateKeyPem: 'x', domainAuthorityPem: 'x' };
  await writeFile(
    join(home, 'credentials', 'S10000001.json'),
    JSON.stringify({ identifier: 'S10000001', ...pem, routers }),
  );
  const identifier = await db.begin(async (tx) => {
    const created = await createInstance(tx, { name: 'fresh' });
    assert.ok(created.kind === 'created');
    await domainEffects(options).issueCredential(tx, created.srpIdentifier, 'S10000001');
    return created.srpIdentifier;
  });
  const credential = await readCredential(home, identifier);
  assert.deepEqual(credential.routers, routers);
  assert.equal((await db`select 1 from srp_credential where identifier = ${identifier}`).length, 1);
  const replacedElsewhere = await db.begin(async (tx) => {
    const created = await createInstance(tx, { name: 'brought-here' });
    assert.ok(created.kind === 'created');
    await domainEffects(options).issueCredential(tx, created.srpIdentifier, 'S10000099');
    return created.srpIdentifier;
  });
  assert.deepEqual((await readCredential(home, replacedElsewhere)).routers, routers, 'whose credential lies elsewhere');
});

test('a release without its manifest or its program is lacking on this host', async () => {
  const { lacking } = domainEffects({
    ...{ db, databaseUrl: database.url, home, host: 'here', release: '1.2.0', migrations: migrationFolder() },
    ...{ applicationName: 'bramble/test', masterKeys },
  });
  const folder = join(home, 'releases', '1.1.7');
  assert.deepEqual(await lacking('1.1.7'), ['here']);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, manifestName), '{}');
  assert.deepEqual(await lacking('1.1.7'), ['here']);
  await writeFile(join(folder, programName), '');
  assert.deepEqual(await lacking('1.1.7'), []);
});
