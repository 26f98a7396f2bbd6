/** Whether and how a domain can go to a release: small archives, really installed and read, beside a domain of 1.2.0. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { keepReleaseSigner } from '../../domain/release-signer.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { installArchive, readArchive } from '../../release/archive.ts';
import { writeEntries } from '../../release/archive-bytes.ts';
import { formatManifest, type Manifest, manifestName } from '../../release/manifest.ts';
import { formatSignature, signatureSuffix } from '../../release/signature.ts';
import { testSigner } from '../../release/signed-archive-fixture.ts';
import { type Entries, sha256 } from '../../release/tar-entries.ts';
import { reverseByOperator, writePlan } from '../operations/operator-actions.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess } from '../steps/domain-fixture.ts';
import { runChecks } from './checks.ts';
import { findWay, type WayAnswer } from './release-way.ts';

const home = await mkdtemp(join(tmpdir(), 'bramble-way-'));
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});

const shapes = { 'setting budget': sha256(Buffer.from('budget')) };

/** An archive of a release, with what is other in its manifest and its migrations. */
async function archiveOf(release: string, change: Partial<Manifest> = {}, migrations = ['001-first']): Promise<string> {
  const files: Entries = new Map([['bramble.mjs', Buffer.from(`console.log('${release}')`)]]);
  for (const name of migrations) files.set(`sql/${name}.expand.sql`, Buffer.from('select 1;'));
  const manifest: Manifest = {
    ...{ format: 1, release, commit: 'c'.repeat(40), workingTree: false, schemaVersion: 1, leastSchemaVersion: 1 },
    ...{ linkVersions: [1, 2], features: ['one'], postgres: '18', shapes, ...change },
    files: Object.fromEntries([...files].map(([name, contents]) => [name, sha256(contents)])),
  };
  const file = join(home, `bramble-${release}-${Object.keys(change).join('-')}-${migrations.length}.tgz`);
  await writeFile(file, await writeEntries(files.set(manifestName, Buffer.from(formatManifest(manifest)))));
  return file;
}

const way = async (file: string): Promise<WayAnswer> =>
  await findWay(db, { home, host: 'here', platforms: registeredPlatforms, found: await readArchive(file) });

await insertTestDomain(db, { release: '1.2.0', schemaVersion: 1 });
await insertTestInstance(db, { name: 'east', accounts: 2, release: '1.2.0' });
await insertTestInstance(db, { name: 'west', accounts: 1, release: '1.2.0' });
await insertTestProcess(db, { name: 'admin', kind: 'administration', release: '1.2.0' });
await installArchive(await archiveOf('1.2.0'), { home });

test('a later patch is a way with the short fence, in place, which needs nothing; numbers may be left out', async () => {
  for (const release of ['1.2.1', '1.2.9']) {
    const answer = await way(await archiveOf(release));
    assert.deepEqual([answer.way, answer.reasons, answer.administrations], ['patch', [], 1]);
    assert.deepEqual(
      answer.plan?.replacements.map(({ name }) => name),
      ['west', 'east'],
    );
    assert.equal(answer.plan?.needs.srpCredentials, 0);
  }
});

test('the next minor release is a way with what it needs, and the same release is none to take', async () => {
  const minor = await way(await archiveOf('1.3.4', { features: ['one', 'two'] }, ['001-first', '002-second']));
  assert.deepEqual([minor.way, minor.plan?.instances.length], ['minor', 2]);
  assert.deepEqual(
    minor.plan?.lockedFeatures.map(({ name }) => name),
    ['two'],
  );
  const same = await way(await archiveOf('1.2.0'));
  assert.deepEqual([same.way, same.plan], ['same', null]);
});

test('another build of the domain’s own number is not the release that is there, and the answer says so', async () => {
  const other = await way(await archiveOf('1.2.0', { commit: 'd'.repeat(40) }));
  assert.deepEqual([other.way, other.plan], ['none', null]);
  assert.match(
    other.reasons.join(' '),
    /^This is a different build of 1\.2\.0 from the one that the domain runs.* It is not signed\./,
  );
});

test('the build that is there, signed by somebody else, is refused for its signer', async () => {
  const file = await archiveOf('1.2.0');
  const { manifestSha256 } = await readArchive(file);
  const known = testSigner();
  const facts = { release: '1.2.0', archive: sha256(await readFile(file)), manifest: manifestSha256 };
  await db.begin((tx) => keepReleaseSigner(tx, { fingerprint: known.fingerprint, occasion: 'test' }));
  try {
    await writeFile(`${file}${signatureSuffix}`, formatSignature(facts, testSigner()));
    const answer = await way(file);
    assert.equal(answer.way, 'none');
    assert.match(answer.reasons.join(' '), /this domain has so far accepted releases of the signer/);
  } finally {
    await rm(`${file}${signatureSuffix}`, { force: true });
    await db.begin((tx) => keepReleaseSigner(tx, { fingerprint: null, occasion: 'test' }));
  }
});

const refusals: readonly { what: string; file: () => Promise<string>; why: RegExp }[] = [
  { what: 'two minor steps', file: () => archiveOf('1.4.0'), why: /step by step: 1\.2\.0 → 1\.3\.0 → 1\.4\.0/ },
  { what: 'an earlier release', file: () => archiveOf('1.1.0'), why: /earlier than the domain’s 1\.2\.0/ },
  { what: 'a major release', file: () => archiveOf('2.0.0'), why: /later patch or to the next minor/ },
  {
    what: 'a patch with a migration',
    file: () => archiveOf('1.2.1', {}, ['001-first', '002-second']),
    why: /changes what a patch must not change: the migration 002-second\.expand\.sql is added/,
  },
  {
    what: 'a patch with another feature, link version and stored shape',
    file: () =>
      archiveOf('1.2.1', {
        ...{ features: ['one', 'two'], linkVersions: [1] },
        shapes: { 'setting budget': sha256(Buffer.from('another')) },
      }),
    why: /the feature two is added; version of the link 2 is missing; the stored shape setting budget is another/,
  },
];

for (const { what, file, why } of refusals) {
  test(`there is no way to ${what}, and the answer says why`, async () => {
    const answer = await way(await file());
    assert.equal(answer.way, 'none');
    assert.match(answer.reasons.join(' '), why);
  });
}

test('while an upgrade is open no other can begin, and afterwards it can', async () => {
  const target = { release: '1.2.1', features: ['one'], differences: [] };
  await db.begin((tx) =>
    writePlan(tx, { by: 'tester', target, host: 'here', features: [], platforms: registeredPlatforms }),
  );
  const answer = await way(await archiveOf('1.2.2'));
  assert.equal(answer.way, 'none');
  assert.match(answer.reasons.join(' '), /An upgrade to 1\.2\.1 is open \(planned\)/);
  await db.begin((tx) => reverseByOperator(tx, { by: 'tester' }));
  assert.equal((await way(await archiveOf('1.2.2'))).way, 'patch');
});

test('the coordinator compares again before anything is changed, and an earlier patch beside the domain’s own is no obstacle', async () => {
  await insertTestProcess(db, { name: 'behind', kind: 'connection', release: '1.1.9' });
  await db`update component set release = '1.2.0'`;
  await db`update component set release = '1.1.9' where name = 'behind'`;
  const checked = async (release: string, migrations: string[]) => {
    await installArchive(await archiveOf(release, {}, migrations), { home });
    const target = { release, features: ['one'], differences: [] };
    const order = { by: 'tester', target, host: 'here', features: [], platforms: registeredPlatforms, replace: true };
    const upgrade = await db.begin((tx) => writePlan(tx, order));
    const options = {
      db,
      home,
      host: 'here',
      release,
      databaseUrl: url,
      migrations: '',
      applicationName: 'bramble/test',
    };
    return new Map((await runChecks(options, upgrade)).map((check) => [check.name, check]));
  };
  const good = await checked('1.2.3', ['001-first']);
  assert.deepEqual(
    ['release-step', 'rehearsal', 'backup', 'hosts'].map((name) => good.get(name)?.result),
    ['passed', 'passed', 'passed', 'passed'],
  );
  assert.equal(good.get('components')?.result, 'error', 'of another minor release');
  await db`update domain set release = '1.2.1'`;
  await db`update component set release = '1.2.1' where name <> 'behind'`;
  await db`update component set release = '1.2.0' where name = 'behind'`;
  await installArchive(await archiveOf('1.2.1'), { home });
  const changed = await checked('1.2.4', ['001-first', '002-second']);
  assert.equal(changed.get('release-step')?.result, 'error');
  assert.match(changed.get('release-step')?.message ?? '', /the migration 002-second\.expand\.sql is added/);
  assert.equal(changed.get('components')?.result, 'passed');
});
