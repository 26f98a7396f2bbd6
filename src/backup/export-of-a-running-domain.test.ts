/** `bramble database export` refuses before it starts or changes anything. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BrambleError } from '../base/errors.ts';
import { lockHome } from '../processes/supervisor/home-lock.ts';
import { migrationFolder } from '../release/program.ts';
import { thisRelease } from '../release/this-release.ts';
import { exportDatabase } from './export-database.ts';

const home = await mkdtemp(join(tmpdir(), 'bramble-export-'));
after(async () => await rm(home, { recursive: true }));

test('while the supervisor runs it says how to stop it, and how to measure beforehand', async () => {
  const configuration = { database: { embedded: true }, host: 'here', publicPort: 0, srpPort: 0 };
  await writeFile(join(home, 'config.json'), JSON.stringify(configuration));
  const lock = await lockHome(home, thisRelease.release);
  const before = await readdir(home);
  await assert.rejects(
    exportDatabase({
      home,
      to: 'postgres://127.0.0.1:1/none',
      program: { release: thisRelease.release, migrations: migrationFolder() },
    }),
    (error: unknown) => {
      assert.ok(error instanceof BrambleError && error.code === 'ERR_ALREADY_RUNNING');
      assert.match(error.message, /stop it first \(`bramble down`\).*`bramble database export --rehearse`/);
      assert.doesNotMatch(error.message, /take-over/);
      return true;
    },
  );
  assert.deepEqual(await readdir(home), before);
  await lock.release();
});
