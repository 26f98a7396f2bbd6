/**
 * A disk that fills up in the middle of moving the domain to another database, or of a host fetching a release: it is said; what was
 * there before stays as it was; and once there is room it works. On small file systems of their own, which takes root.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { installBinaries } from '../../src/database/embedded/binaries.ts';
import { startEmbedded, stopEmbedded } from '../../src/database/embedded/server.ts';
import { writeHostSigner } from '../../src/distribution/host-signer.ts';
import { storeRelease } from '../../src/distribution/release-store.ts';
import type { SupervisorEvent } from '../../src/processes/supervisor/events.ts';
import { createHostReleases } from '../../src/processes/supervisor/host-releases.ts';
import { verifyInstalled } from '../../src/release/archive.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { until } from '../../src/testing/condition.ts';
import { skipWithoutDisk as skip, smallDisk } from '../harness/small-disk.ts';
import { stillDomain } from '../harness/still-domain.ts';

const domain = await stillDomain();

describe('a disk that fills up', { timeout: 600_000, skip }, () => {
  test('while a host fetches a release', async () => {
    const { release } = thisRelease;
    const db = openDatabase(domain.databaseUrl, { applicationName: 'test', max: 1 });
    after(async () => await db.end({ timeout: 5 }));
    await db.begin((tx) => storeRelease(tx, domain.home, release));
    const { folder, grow } = smallDisk(join(domain.folder, 'fetching'), 1);
    const home = join(folder, 'home');
    await mkdir(home);
    await writeHostSigner(home, { fingerprint: null, unsigned: [release], refused: [] });
    const events: SupervisorEvent[] = [];
    const onEvent = (event: SupervisorEvent) => events.push(event);
    const releases = createHostReleases({ home, host: 'berlin-2', release, onEvent });
    const untilTold = async (type: SupervisorEvent['type']) =>
      await until(type, 60_000, () => {
        releases.look(domain.databaseUrl, [release]);
        return events.some((event) => event.type === type);
      });
    await untilTold('release-not-fetched');
    assert.match(JSON.stringify(events), /ENOSPC|no space left on device/);
    assert.ok(releases.awaits(release), 'it is looked for again');
    assert.deepEqual(await readdir(join(home, 'releases')), []);
    grow(200);
    await untilTold('release-fetched');
    assert.deepEqual(
      await verifyInstalled(join(home, 'releases', release)),
      await verifyInstalled(join(domain.home, 'releases', release)),
    );
  });

  test('of the other database, in the middle of an export', async () => {
    await domain.sql`
      insert into event (kind, message)
      select 'filling', (select string_agg(encode(sha256((n * 50 + m)::text::bytea), 'hex'), '') from generate_series(1, 16) m)
        from generate_series(1, 40000) n`;
    const file = join(domain.folder, 'whole.backup');
    assert.equal((await domain.command('backup', 'create', '--out', file, ...domain.secret)).code, 0);
    const home = join(domain.folder, 'embedded');
    assert.equal((await domain.commandIn(home, 'backup', 'restore', '--yes', file, ...domain.secret)).code, 0);
    const own = join(home, 'postgres');
    await stopEmbedded({ folder: own, mode: 'fast' });
    const before = await readFile(join(home, 'config.json'), 'utf8');

    const disk = join(domain.folder, 'external');
    const external = { folder: join(disk, 'postgres'), binaries: await installBinaries(own, null) };
    // Before the disk goes: these run in order.
    after(async () => await stopEmbedded({ folder: external.folder, mode: 'immediate' }));
    const { grow } = smallDisk(disk, 100);
    const exportTo = async (url: string) => await domain.commandIn(home, 'database', 'export', '--database-url', url);
    const failed = await exportTo((await startEmbedded(external)).url);
    assert.notEqual(failed.code, 0);
    assert.match(failed.stderr, /The copy was broken off .*is there room on its disk.*ERR_DATABASE_COPY/s);
    assert.equal(await readFile(join(home, 'config.json'), 'utf8'), before, 'the domain stays where it is');
    assert.ok(!(await readdir(own)).includes('before-export'));

    grow(600);
    const { url } = await startEmbedded(external);
    const exported = await exportTo(url);
    assert.equal(exported.code, 0, exported.stderr);
    assert.deepEqual(JSON.parse(await readFile(join(home, 'config.json'), 'utf8')).database, { url });
  });
});
