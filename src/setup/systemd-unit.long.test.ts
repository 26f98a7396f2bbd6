/** The unit as systemd itself reads it, where its programs are; nothing is installed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { lacks } from '../testing/clients.ts';
import { unitName, unitOf, unitText } from './systemd-unit.ts';

const run = promisify(execFile);
const skip = lacks('systemd-analyze');

async function written(t: TestContext, changes: Partial<Parameters<typeof unitText>[0]> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-unit-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  // What the command names has to be there.
  const home = join(folder, 'a home, 100 % of it $HOME');
  await mkdir(join(home, 'releases', '1.4.0'), { recursive: true });
  const plan = {
    home,
    node: process.execPath,
    user: 'bramble',
    writable: ['/mnt/50 % of it'],
    lowPort: false,
    ...changes,
  };
  await writeFile(join(folder, unitName), unitText(plan), { mode: 0o644 });
  await chmod(folder, 0o755);
  return { home, file: join(folder, unitOf('1.4.0')) };
}

test('systemd finds nothing to say about the unit', { skip }, async (t) => {
  for (const lowPort of [false, true]) {
    const { file } = await written(t, { lowPort });
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', '--recursive-errors=no', file]);
    assert.equal(`${stdout}${stderr}`, '');
  }
});

test('what systemd reads in it is what was meant', { skip }, async (t) => {
  const { file } = await written(t, { node: '/nonexistent/node 50%/$X' });
  // It names the program that it does not find, after its own reading of the line.
  const { stderr } = await run('systemd-analyze', ['verify', '--man=no', file]).catch((error) => error);
  assert.match(stderr, /\/nonexistent\/node 50%\/\$X/);
});

test('it is confined: systemd’s own judgement is "OK" at least', { skip }, async (t) => {
  const { file } = await written(t);
  const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', '--threshold=30', file]);
  const [, level] = /Overall exposure level for .*?: ([\d.]+)/.exec(stdout) ?? [];
  t.diagnostic(`exposure level ${level}`);
  assert.ok(Number(level) < 3, stdout);
});
