/** `bramble domain create --archive`: a lasting domain of the sealed release, made by that release's own program. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sealedArchive } from '../../test/harness/archives.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { stopEmbedded } from '../database/embedded/server.ts';
import { insertDomain } from '../domain/domain.ts';
import { runBramble } from './command-line-fixture.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-create-'));
// Under root PostgreSQL is another user, who has to pass through.
await chmod(folder, 0o711);
const home = join(folder, 'home');
after(async () => {
  await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
  await rm(folder, { recursive: true, force: true });
});

const create = (...argv: string[]) =>
  runBramble({ url: '', token: '', home }, ['domain', 'create', ...argv], { environment: { BRAMBLE_HOME: home } });

test('a domain of a sealed release is made once, and nothing of it runs before `bramble up`', {
  timeout: 240_000,
}, async () => {
  const { file, release } = await sealedArchive();
  for (const argv of [[], ['--archive', file, '--instances', '0']]) {
    const { code, errors } = await create(...argv);
    assert.notEqual(code, 0);
    assert.match(errors, /ERR_USAGE/);
  }
  const ports = ['--public-port', '0', '--srp-port', '0', '--console-port', '0'];
  const made = await create('--archive', file, '--name', 'Trial', '--instances', '2', ...ports, '--json');
  assert.equal(made.code, 0, made.errors);
  const domain = JSON.parse(made.output);
  assert.deepEqual([domain.name, domain.release, domain.home], ['Trial', release, home]);
  const configuration = JSON.parse(await readFile(join(home, 'config.json'), 'utf8'));
  assert.equal(new URL(domain.publicUrl).port, String(configuration.publicPort));
  assert.deepEqual(await readdir(join(home, 'releases')), [release]);
  assert.equal((await readdir(join(home, 'credentials'))).length, 4);
  assert.equal(await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' }), false);

  const again = await create('--archive', file, ...ports);
  assert.match(again.errors, /holds the domain "Trial" already.*ERR_DOMAIN_EXISTS/s);
});

test('a database with the domain of another home is said to be what holds it, and the home stays without one', {
  timeout: 240_000,
}, async (t) => {
  const { file } = await sealedArchive();
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'test', max: 1 });
  t.after(() => db.end({ timeout: 5 }));
  await insertDomain(db, {
    ...{ domainId: randomUUID(), name: 'Elsewhere', publicUrl: 'https://mdm.example.org:8443' },
    ...{ tunnelHost: 'tunnel.example.org', wakeChannel: 'x', release: '1.3.0', schemaVersion: 1 },
  });
  const other = await mkdtemp(join(tmpdir(), 'bramble-other-'));
  t.after(() => rm(other, { recursive: true, force: true }));
  for (const _ of ['first', 'again']) {
    const { code, errors } = await runBramble(
      { url: '', token: '', home: other },
      [
        'domain',
        'create',
        '--archive',
        file,
        '--database-url',
        url,
        '--public-port',
        '0',
        '--srp-port',
        '0',
        '--console-port',
        '0',
      ],
      { environment: { BRAMBLE_HOME: other } },
    );
    assert.notEqual(code, 0);
    assert.match(
      errors,
      /The database \S+ holds the domain "Elsewhere" already, which was made from another home.*ERR_DOMAIN_EXISTS/s,
    );
    assert.doesNotMatch(errors, new RegExp(decodeURIComponent(new URL(url).password)));
    assert.deepEqual(await readdir(other), []);
  }
});
