import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertInstalledIn } from './installed-release.ts';

test('a home without a domain is named', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-nothing-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const missing = () => assertInstalledIn(home, { name: 'Example', release: '1.4.0' });
  const code = 'ERR_RELEASE_NOT_INSTALLED';
  await assert.rejects(missing, { code, message: /There is no domain in .*bramble-nothing-.*BRAMBLE_HOME.*"Example"/ });
  await writeFile(join(home, 'config.json'), '{}');
  await assert.rejects(missing, { code, message: /^Release 1\.4\.0 is not installed/ });
});
