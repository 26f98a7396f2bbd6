import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertLaterProgram } from './later-program.ts';

test('the program of the domain’s own release names the one that rehearses', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-later-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const choice = { home, from: '1.4.0', own: '1.4.0', file: '/mnt/x.backup' };
  const code = 'ERR_RELEASE_STEP';
  const missing =
    /bramble release install.*node \/.*\/releases\/RELEASE\/bramble\.mjs upgrade rehearse \/mnt\/x\.backup/;
  await assert.rejects(assertLaterProgram(choice), { code, message: missing });
  for (const release of ['1.3.0', '1.4.0', '1.5.0', '1.6.0'])
    await mkdir(join(home, 'releases', release), { recursive: true });
  const message = /Run `node \/.*\/releases\/1\.5\.0\/bramble\.mjs upgrade rehearse \/mnt\/x\.backup`\.$/;
  await assert.rejects(assertLaterProgram(choice), { code, message });
  await assertLaterProgram({ ...choice, own: '1.5.0' });
  await assert.rejects(assertLaterProgram({ ...choice, own: '1.6.0' }), {
    code,
    message: /1\.4\.0 → 1\.5\.0 → 1\.6\.0/,
  });
});
