import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfiguration } from './configuration.ts';

test('a folder without a domain is told from one whose configuration is damaged', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const refused = (message: RegExp) => assert.rejects(readConfiguration(home), { code: 'ERR_CONFIGURATION', message });
  await refused(/^There is no domain in .*BRAMBLE_HOME.*`bramble domain create`/);
  await writeFile(join(home, 'config.json'), '{');
  await refused(/config\.json cannot be read \(/);
});
