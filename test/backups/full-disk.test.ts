/**
 * A disk that fills up in the middle of making, trying and restoring a backup: it is said, with what to do; nothing is left; and once there
 * is room it works. On small file systems of their own, which takes root.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stopEmbedded } from '../../src/database/embedded/server.ts';
import { skipWithoutDisk as skip, smallDisk } from '../harness/small-disk.ts';
import { stillDomain } from '../harness/still-domain.ts';

const domain = await stillDomain();
const file = join(domain.folder, 'whole.backup');
await domain.sql`
  insert into event (kind, message)
  select 'filling', (select string_agg(encode(sha256((n * 50 + m)::text::bytea), 'hex'), '') from generate_series(1, 16) m)
    from generate_series(1, 40000) n`;

const disk = (name: string, mebibytes: number) => smallDisk(join(domain.folder, name), mebibytes);

describe('a disk that fills up', { timeout: 600_000, skip }, () => {
  test('in the middle of making a backup', async () => {
    const { folder, grow } = disk('making', 1);
    const failed = await domain.command('backup', 'create', '--to', folder, ...domain.secret);
    assert.match(failed.stderr, /could not be written \(.*(space|ENOSPC).*Make room.*ERR_BACKUP_WRITE/s);
    assert.deepEqual(await readdir(folder), []);
    const [event] = await domain.sql`select message from event where kind = 'backup-failed' order by id desc limit 1`;
    assert.match(String(event?.['message']), /could not be written/);
    grow(200);
    const made = await domain.command('backup', 'create', '--to', folder, ...domain.secret);
    assert.equal(made.code, 0, made.stderr);
    assert.equal((await domain.command('backup', 'create', '--out', file, ...domain.secret)).code, 0);
  });

  for (const [when, mebibytes] of [
    ['the database is made', 20],
    ['rows are restored', 100],
  ] as const) {
    test(`in the middle of trying one, while ${when}`, async () => {
      const { folder, grow } = disk(`trying-${mebibytes}`, mebibytes);
      const verify = async () => await domain.command('backup', 'verify', file, '--scratch', folder, ...domain.secret);
      const failed = await verify();
      assert.match(failed.stderr, /no room left in .*says nothing about the backup.*--scratch.*ERR_SCRATCH_FULL/s);
      assert.deepEqual(await readdir(folder), []);
      grow(600);
      const passed = await verify();
      assert.equal(passed.code, 0, passed.stderr);
    });

    test(`in the middle of restoring one, while ${when}`, async () => {
      const { folder, grow } = disk(`restoring-${mebibytes}`, mebibytes);
      const home = join(folder, 'home');
      const restore = async () => await domain.commandIn(home, 'backup', 'restore', '--yes', file, ...domain.secret);
      const failed = await restore();
      assert.match(failed.stderr, /[Nn]o space left on device|ENOSPC/);
      assert.match(
        failed.stderr,
        /What was made of it in the home is removed\. Restore it again once the cause is gone/,
      );
      assert.deepEqual(await readdir(home), []);
      grow(600);
      const passed = await restore();
      assert.equal(passed.code, 0, passed.stderr);
      await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
    });
  }
});
