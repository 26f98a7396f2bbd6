import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { thisRelease } from '../release/this-release.ts';
import { runBramble } from './command-line-fixture.ts';

const home = await mkdtemp(join(tmpdir(), 'bramble-service-'));
after(() => rm(home, { recursive: true, force: true }));
const configuration = { database: { embedded: true }, host: 'berlin', publicPort: 443, srpPort: 3101 };
await writeFile(join(home, 'config.json'), JSON.stringify(configuration));

const bramble = (...argv: string[]) =>
  runBramble({ url: '', token: '', home }, ['service', ...argv], { environment: { BRAMBLE_HOME: home } });

test('the unit is of the home, its ports and the user; and of the release that asks, if that is installed', async () => {
  const none = await bramble('install', '--print');
  assert.match(none.errors, /No release is installed.*bramble release install.*ERR_SERVICE_MANAGER/s);
  for (const release of ['1.2.1', thisRelease.release, '99.0.0']) {
    await mkdir(join(home, 'releases', release), { recursive: true });
  }
  const { code, output } = await bramble('install', '--print', '--user', 'mdm');
  assert.equal(code, 0);
  const lines = output.split('\n');
  for (const line of [`Environment="BRAMBLE_HOME=${home}"`, 'User=mdm', 'AmbientCapabilities=CAP_NET_BIND_SERVICE']) {
    assert.ok(lines.includes(line), line);
  }
  assert.ok(lines.includes(`ExecStart="${process.execPath}" "${home}/releases/%i/bramble.mjs" up`));
});

test('besides the home it may write where it is told to, and where scheduled backups go', async () => {
  const schedule = {
    ...{
      format: 1,
      daily: '02:30',
      folder: '/mnt/backups',
      passphraseFile: '/etc/bramble/passphrase',
      scratch: '/srv/x',
    },
    ...{ onOtherFileSystem: true, keep: null, verifies: true, setBy: 'ada', setAt: new Date().toISOString() },
  };
  const writable = async (...words: string[]) =>
    /^ReadWritePaths=(.*)$/m.exec((await bramble('install', '--print', ...words)).output)?.[1];
  assert.equal(await writable(), `"${home}"`);
  assert.equal(await writable('--writable', '/mnt/a b', '/mnt/c'), `"${home}" "-/mnt/a b" "-/mnt/c"`);
  await writeFile(join(home, 'backup-schedule.json'), JSON.stringify(schedule));
  assert.equal(await writable('--writable', '/mnt/backups'), `"${home}" "-/mnt/backups" "-/srv/x"`);
});

test('a user or a path that a unit cannot have is refused', async () => {
  for (const words of [
    ['--user', 'root'],
    ['--user', 'a b'],
    ['--user', 'x\nExecStart=/bin/sh'],
    ['--node', '/x"y'],
    ['--writable', '/x"y'],
  ]) {
    const { code, errors, output } = await bramble('install', '--print', ...words);
    assert.notEqual(code, 0);
    assert.match(errors, /ERR_SERVICE_MANAGER/);
    assert.equal(output, '');
  }
});

const booted = existsSync('/run/systemd/system') && 'this host was started by systemd: it would be changed';
test('where there is no systemd nothing is written, and it is said what to do instead', { skip: booted }, async () => {
  for (const argv of [['install'], ['uninstall']]) {
    const { code, errors } = await bramble(...argv);
    assert.notEqual(code, 0);
    assert.match(errors, /not started by systemd.*--print.*ERR_SERVICE_MANAGER/s);
  }
  assert.equal(existsSync('/etc/systemd/system/bramble@.service'), false);
});
