/** What the supervisor of the host where the domain was created does about releases that were given to another host. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { writeHostSigner } from '../../distribution/host-signer.ts';
import { storeRelease } from '../../distribution/release-store.ts';
import { writeHostKey } from '../../hosts/host-key.ts';
import { installArchive } from '../../release/archive.ts';
import { manifestName } from '../../release/manifest.ts';
import { testSigner, writeTestArchive } from '../../release/signed-archive-fixture.ts';
import { until } from '../../testing/condition.ts';
import type { SupervisorEvent } from './events.ts';
import { createHostReleases } from './host-releases.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const folder = await mkdtemp(join(tmpdir(), 'bramble-releases-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(folder, { recursive: true, force: true });
});
const [ada, eve] = [testSigner(), testSigner()];
const other = join(folder, 'other');
for (const release of ['1.4.1', '1.4.2']) {
  await installArchive(await writeTestArchive(folder, release, { signer: ada }), { home: other });
  await db.begin((tx) => storeRelease(tx, other, release));
}

/** With this release, which an operator put there. */
async function homeWith(release: string): Promise<string> {
  const home = await mkdtemp(join(folder, 'home-'));
  const installed = join(home, 'releases', release);
  await mkdir(installed, { recursive: true });
  await writeFile(join(installed, manifestName), '{}');
  return home;
}

function releasesOf(home: string, host = 'first') {
  const events: SupervisorEvent[] = [];
  const releases = createHostReleases({
    home,
    host,
    release: '1.4.0',
    onEvent: (event) => events.push(event),
  });
  return {
    releases,
    events,
    installed: async () => (await readdir(join(home, 'releases'))).filter((name) => !/sig/.test(name)).sort(),
  };
}

test('once a host has joined a wanted release is fetched, no other one, and none is removed', async () => {
  const home = await homeWith('1.4.9');
  const { releases, events, installed } = releasesOf(home);
  assert.equal(releases.awaits('1.4.1'), false, 'as long as the domain has one host an operator installs releases');
  await writeHostSigner(home, { fingerprint: ada.fingerprint, unsigned: [], refused: [] });
  assert.equal(releases.awaits('1.4.1'), true);
  await until('it is fetched and reported', 60_000, async () => {
    releases.look(url, ['1.4.1']);
    const reported = await db`select release from host_release where host = 'first' order by release`;
    return reported.map((row) => row['release']).join() === '1.4.1,1.4.9';
  });
  assert.equal(releases.awaits('1.4.1'), false);
  assert.deepEqual(await installed(), ['1.4.1', '1.4.9']);
  assert.deepEqual(events, [{ type: 'release-fetched', release: '1.4.1' }]);
});

test('a release of a signer that the domain did not know then is not installed, and told of', async () => {
  const home = await homeWith('1.4.9');
  const { releases, events, installed } = releasesOf(home);
  await writeHostSigner(home, { fingerprint: eve.fingerprint, unsigned: [], refused: [] });
  await until('it is told', 60_000, () => {
    releases.look(url, ['1.4.1']);
    return events.length > 0;
  });
  const [event] = events;
  assert.equal(event?.type === 'release-not-fetched' && event.code, 'ERR_RELEASE_SIGNER');
  assert.deepEqual(await installed(), ['1.4.9']);
});

test('what the database has lost of a host that joined is reported again', async () => {
  const home = await homeWith('1.4.9');
  await mkdir(join(home, 'keys'));
  await writeHostKey(home, { privateKeyPem: 'key', domainAuthorityPem: 'authority' });
  await writeHostSigner(home, { fingerprint: ada.fingerprint, unsigned: [], refused: [] });
  const { releases } = releasesOf(home, 'second');
  const isReported = async () => {
    // One that is nowhere is looked for at every turn.
    releases.look(url, ['1.4.7']);
    const rows = await db`select release from host_release where host = 'second' order by release`;
    return rows.map((row) => row['release']).join() === '1.4.1,1.4.2';
  };
  await until('it is reported', 30_000, isReported);
  await db`delete from host_release where host = 'second' and release <> '1.4.2'`;
  await until('it is reported again', 30_000, isReported);
});
