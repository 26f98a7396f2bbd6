/** A release on its way from one host to another: what arrives is what was stored, by a signer that the host accepts, or nothing. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { installArchive, verifyInstalled } from '../release/archive.ts';
import { testSigner, writeTestArchive } from '../release/signed-archive-fixture.ts';
import { writeHostSigner } from './host-signer.ts';
import { fetchRelease } from './release-fetch.ts';
import { pruneStored, storedReleases, storeRelease } from './release-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const folder = await mkdtemp(join(tmpdir(), 'bramble-fetch-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(folder, { recursive: true, force: true });
});
const [ada, eve] = [testSigner(), testSigner()];
const first = await mkdtemp(join(folder, 'first-'));
await installArchive(await writeTestArchive(folder, '1.4.1', { signer: ada }), { home: first });

async function newHost(fingerprint: string | null): Promise<string> {
  const home = await mkdtemp(join(folder, 'host-'));
  await writeHostSigner(home, { fingerprint, unsigned: [], refused: [] });
  return home;
}

const store = (home = first) => db.begin((tx) => storeRelease(tx, home, '1.4.1'));

async function refused(home: string, code: string): Promise<void> {
  await assert.rejects(fetchRelease(db, home, '1.4.1'), { code });
  assert.deepEqual(
    (await readdir(home)).filter((name) => name === 'releases'),
    [],
    'nothing is installed',
  );
}

test('a stored release is fetched whole, and one that is not stored is waited for', async () => {
  const home = await newHost(ada.fingerprint);
  assert.equal(await fetchRelease(db, home, '1.4.1'), false);
  await store();
  assert.equal(await fetchRelease(db, home, '1.4.1'), true);
  const installed = join(home, 'releases', '1.4.1');
  assert.deepEqual(await verifyInstalled(installed), await verifyInstalled(join(first, 'releases', '1.4.1')));
});

test('another signer, or none where one is known, is refused; the first one is kept', async () => {
  await refused(await newHost(eve.fingerprint), 'ERR_RELEASE_SIGNER');
  const home = await newHost(null);
  assert.equal(await fetchRelease(db, home, '1.4.1'), true);
  await db`update release_package set signature = null`;
  await refused(await newHost(ada.fingerprint), 'ERR_RELEASE_SIGNER');
});

test('a file that was changed, added or taken away in the database installs nothing', async () => {
  const home = await newHost(ada.fingerprint);
  for (const change of [
    db`update release_file set contents = contents || '\\x20' where path <> 'manifest.json'`,
    db`insert into release_file (release, path, contents) values ('1.4.1', 'more.mjs', '')`,
    db`delete from release_file where path <> 'manifest.json'`,
  ]) {
    await store();
    await change;
    await refused(home, 'ERR_RELEASE_ARCHIVE_CHANGED');
  }
  await store();
  await db`update release_file set contents = '\\x7b' where path = 'manifest.json'`;
  await refused(home, 'ERR_RELEASE_ARCHIVE_MALFORMED');
});

test('releases that nobody wants are removed with their files', async () => {
  await store();
  assert.deepEqual(await db.begin((tx) => pruneStored(tx, ['1.4.0'])), ['1.4.1']);
  assert.equal((await storedReleases(db)).size, 0);
  assert.equal((await db`select 1 from release_file`).length, 0);
});
