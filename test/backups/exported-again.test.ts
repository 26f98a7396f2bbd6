/** A domain that was put back into its embedded PostgreSQL after an export, as the manual says, is exported again. */
import assert from 'node:assert/strict';
import { chmod, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { exportDatabase } from '../../src/backup/export-database.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { prepareHome } from '../../src/setup/prepare-home.ts';
import { workingTreeArchive } from '../harness/archives.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-exported-'));
after(async () => await rm(folder, { recursive: true, force: true }));

test('what an export keeps of the former configuration is replaced by the next', { timeout: 300_000 }, async () => {
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  const home = join(folder, 'home');
  await prepareHome({
    ...{ home, archive: (await workingTreeArchive()).file, name: 'Example', host: 'berlin' },
    ...{ publicPort: 0, srpPort: 0, consolePort: 0, instances: 1, administrationServices: 1 },
  });
  const kept = join(home, 'postgres', 'before-export');
  const credentials = async (within: string) => await readFile(join(within, 'database', 'server.json'), 'utf8');
  const own = await credentials(home);
  for (const round of ['first', 'second']) {
    const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
    await exportDatabase({ home, to: url, program: { release: thisRelease.release, migrations: migrationFolder() } });
    const { database } = JSON.parse(await readFile(join(home, 'config.json'), 'utf8'));
    assert.deepEqual([database, await credentials(kept)], [{ url }, own], round);
    await cp(kept, home, { recursive: true });
  }
  assert.equal(await credentials(home), own);
});
