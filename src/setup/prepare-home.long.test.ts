/** `bramble up`'s preparation with a real release archive and a real embedded PostgreSQL. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildRelease } from '../../scripts/release-build.ts';
import { signArchive } from '../../scripts/release-signing.ts';
import { openDatabase } from '../database/connection.ts';
import { stopEmbedded } from '../database/embedded/server.ts';
import { readDomain } from '../domain/domain.ts';
import { readReleaseSigner } from '../domain/release-signer.ts';
import { listDesiredProcesses } from '../registry/desired-processes.ts';
import { testSigner } from '../release/signed-archive-fixture.ts';
import { findRoleFaults, rolesState } from './database-roles.ts';
import { type HomePlan, prepareHome } from './prepare-home.ts';

const limited = { timeout: 120_000 };
const folder = await mkdtemp(join(tmpdir(), 'bramble-prepare-'));
// Under root PostgreSQL is another user, who has to pass through.
await chmod(folder, 0o711);
const home = join(folder, 'home');
after(async () => {
  await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
  await rm(folder, { recursive: true, force: true });
});

const built = await buildRelease({ tree: fileURLToPath(new URL('../../', import.meta.url)), commit: null });
const archive = join(folder, built.name);
await writeFile(archive, built.archive);
const signer = testSigner();
await signArchive(archive, signer, []);
const plan: HomePlan = {
  ...{
    home,
    archive,
    name: 'Example',
    publicPort: 0,
    srpPort: 0,
    consolePort: 0,
    instances: 1,
    administrationServices: 1,
  },
  ...{ host: 'host-1', databaseSettings: { fsync: 'off', shared_buffers: '64MB' } },
};

/** Every secret and setting of the home, but not what PostgreSQL writes for itself. */
async function contents(): Promise<Record<string, string>> {
  const names = ['config.json', 'admin.json', 'keys/master.json', 'router/router-1/router.json'];
  const credentials = (await readdir(join(home, 'credentials'))).map((name) => `credentials/${name}`);
  const roles = (await readdir(join(home, 'database'))).map((name) => `database/${name}`);
  const texts = [...names, ...credentials, ...roles].map(async (name) => [
    name,
    await readFile(join(home, name), 'utf8'),
  ]);
  return Object.fromEntries(await Promise.all(texts));
}

test('an empty folder becomes the home of a new domain, with ports that are free', limited, async () => {
  const prepared = await prepareHome(plan);
  assert.deepEqual([prepared.created, prepared.release], [true, built.manifest.release]);
  const { publicPort, srpPort, listenAddress } = prepared.configuration;
  assert.ok(publicPort > 0 && srpPort > 0 && publicPort !== srpPort);
  assert.equal(listenAddress, '127.0.0.1');
  const db = openDatabase(prepared.databaseUrl, { applicationName: 'test', max: 1 });
  const domain = await readDomain(db);
  const wanted = await listDesiredProcesses(db);
  const trusted = await readReleaseSigner(db);
  await db.end();
  assert.deepEqual(prepared.signature, { kind: 'first', signer: signer.fingerprint });
  assert.equal(
    trusted.fingerprint,
    signer.fingerprint,
    'the domain knows from its first moment whose releases it takes',
  );
  assert.equal(domain.publicUrl, `https://127.0.0.1:${publicPort}`);
  assert.deepEqual(
    wanted.map(({ name }) => name),
    ['administration-1', 'connection-1', 'router-1', 'server-1'],
  );
});

test('each kind of process of the new domain has a database role with what it needs and no more', limited, async () => {
  assert.deepEqual(await rolesState(home), { state: 'separate' });
  assert.deepEqual(await findRoleFaults(home), []);
});

test(
  'a second call leaves everything alone, adopts the database, and refuses another public host',
  limited,
  async () => {
    const before = await contents();
    const again = await prepareHome({ ...plan, name: 'Other', instances: 5, publicPort: 1 });
    assert.deepEqual([again.created, again.name], [false, 'Example']);
    await assert.rejects(prepareHome({ ...plan, publicHost: 'other.example' }), { code: 'ERR_PUBLIC_HOST' });
    assert.deepEqual(await contents(), before);
    const db = openDatabase(again.databaseUrl, { applicationName: 'test', max: 1 });
    assert.equal((await readDomain(db)).name, 'Example');
    await db.end();
  },
);

test('a stopped database is started again with the domain in it', limited, async () => {
  const before = await contents();
  await stopEmbedded({ folder: join(home, 'postgres'), mode: 'fast' });
  assert.equal((await prepareHome(plan)).created, false);
  assert.deepEqual(await contents(), before);
});

test('a wanted port that is taken is replaced before anything is told of it', limited, async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(typeof address === 'object' && address !== null);
  const other = join(folder, 'other');
  t.after(() => stopEmbedded({ folder: join(other, 'postgres'), mode: 'immediate' }));
  const { configuration } = await prepareHome({ ...plan, home: other, publicPort: address.port });
  assert.notEqual(configuration.publicPort, address.port);
});

test('an archive of another signer than the one that is named makes nothing', limited, async () => {
  const other = join(folder, 'of-another');
  const accepted = { signer: testSigner().fingerprint };
  await assert.rejects(prepareHome({ ...plan, home: other, accepted }), { code: 'ERR_RELEASE_SIGNER' });
  assert.equal((await readdir(other)).includes('releases'), false);
});

test('an archive that is none makes nothing', limited, async () => {
  const none = join(folder, 'none.tgz');
  await writeFile(none, 'no archive');
  await assert.rejects(prepareHome({ ...plan, archive: none }), (error: { code?: string }) =>
    String(error.code).startsWith('ERR_RELEASE_'),
  );
});
