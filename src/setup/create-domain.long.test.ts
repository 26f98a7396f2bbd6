import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { loadAuthorities } from '../domain/authorities.ts';
import { readDomain } from '../domain/domain.ts';
import { readCredential } from '../link/credential.ts';
import { listDesiredProcesses } from '../registry/desired-processes.ts';
import { thisRelease } from '../release/this-release.ts';
import { createDomain, type NewDomainPlan } from './create-domain.ts';

const limited = { timeout: 60_000 };
const sqlFolder = fileURLToPath(new URL('../../sql', import.meta.url));

async function newPlan(t: TestContext): Promise<NewDomainPlan> {
  const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  return {
    ...{ home, databaseUrl: url, sqlFolder, release: thisRelease.release, name: 'Example', host: 'host-1' },
    ...{ publicHost: 'mdm.example.org', publicPort: 8443, srpPort: 3101, tunnelHost: 'tunnel.example.org' },
    ...{ wakeChannel: 'com.apple.mgmt.External.example', instances: 2, administrationServices: 2 },
    databaseRoles: false,
  };
}

async function inDatabase<Result>(
  plan: NewDomainPlan,
  read: (db: ReturnType<typeof openDatabase>) => Promise<Result>,
): Promise<Result> {
  const db = openDatabase(plan.databaseUrl, { applicationName: 'test', max: 2 });
  try {
    return await read(db);
  } finally {
    await db.end();
  }
}

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

test('a domain is made of an empty database: schema, authorities, instances, wanted processes', limited, async (t) => {
  const plan = await newPlan(t);
  const created = await createDomain(plan);
  assert.equal(created.publicUrl, 'https://mdm.example.org:8443');
  assert.deepEqual(
    created.instances.map(({ name }) => name),
    ['server-1', 'server-2'],
  );
  await inDatabase(plan, async (db) => {
    const domain = await readDomain(db);
    assert.equal(domain.featureLevel, plan.release);
    assert.equal(domain.schemaVersion, (await readdir(sqlFolder)).filter((name) => name.endsWith('.sql')).length);
    await loadAuthorities(db, await readMasterKeys(join(plan.home, 'keys', 'master.json')));
    const wanted = await listDesiredProcesses(db);
    assert.deepEqual(wanted.map(({ name, kind }) => `${kind} ${name}`).sort(), [
      ...['administration administration-1', 'administration administration-2', 'connection connection-1'],
      ...['connection connection-2', 'router router-1', 'server server-1', 'server server-2'],
    ]);
    assert.ok(
      wanted.every(({ host, release, state }) => [host, release, state].join() === `host-1,${plan.release},running`),
    );
    const scopes = await db`select distinct scope from delivery_permit`;
    assert.ok(scopes.length >= 3, 'a budget for the domain and for each instance');
    assert.ok((await db`select 1 from it_policy where preconfigured`).length > 0);
  });
});

test(
  'its secrets are files of their owner alone, and its router’s certificate names what is dialled',
  limited,
  async (t) => {
    const plan = await newPlan(t);
    const { instances, token } = await createDomain(plan);
    const files = ['keys/master.json', 'admin.json', 'router/router-1/router.json'].map((name) =>
      join(plan.home, name),
    );
    for (const file of files) assert.equal(await modeOf(file), 0o600, file);
    assert.equal(JSON.parse(await readFile(join(plan.home, 'admin.json'), 'utf8')).token, token);
    for (const name of await readdir(join(plan.home, 'credentials'))) {
      assert.equal(await modeOf(join(plan.home, 'credentials', name)), 0o600, name);
    }
    const [first] = instances;
    assert.ok(first);
    const credential = await readCredential(plan.home, first.srpIdentifier);
    const routerFile = JSON.parse(await readFile(join(plan.home, 'router/router-1/router.json'), 'utf8'));
    const [certificate, authority] = [routerFile.certificatePem, routerFile.domainAuthorityPem].map(
      (pem: string) => new X509Certificate(pem),
    );
    assert.ok(certificate && authority && certificate.verify(authority.publicKey));
    for (const host of ['mdm.example.org', 'tunnel.example.org', credential.routers[0]?.serverName ?? '']) {
      assert.ok(certificate.checkHost(host), host);
    }
  },
);

test('a second domain is refused, and the first one’s files and rows are as they were', limited, async (t) => {
  const plan = await newPlan(t);
  const { token } = await createDomain(plan);
  const keys = await readMasterKeys(join(plan.home, 'keys', 'master.json'));
  await assert.rejects(createDomain({ ...plan, name: 'Other' }), { code: 'ERR_DOMAIN_EXISTS' });
  assert.deepEqual(await readMasterKeys(join(plan.home, 'keys', 'master.json')), keys);
  assert.equal(JSON.parse(await readFile(join(plan.home, 'admin.json'), 'utf8')).token, token);
  assert.equal((await inDatabase(plan, readDomain)).name, 'Example');
});

test('of two creations at once one makes the domain, and the files that lie there are its own', limited, async (t) => {
  const plan = await newPlan(t);
  const outcomes = await Promise.allSettled([createDomain(plan), createDomain(plan)]);
  const [failed] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  const [made] = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  assert.equal(failed?.code, 'ERR_DOMAIN_EXISTS');
  assert.equal(JSON.parse(await readFile(join(plan.home, 'admin.json'), 'utf8')).token, made?.token);
});

test('a creation that was interrupted is made again, with the master key that it left', limited, async (t) => {
  const plan = await newPlan(t);
  // No process can be wanted on such a host: it fails after the schema, the key file and the router's files were made.
  const broken = { ...plan, instances: 1, host: null as unknown as string };
  await assert.rejects(createDomain(broken));
  const keys = await readMasterKeys(join(plan.home, 'keys', 'master.json'));
  await createDomain(plan);
  assert.deepEqual(await readMasterKeys(join(plan.home, 'keys', 'master.json')), keys);
  await inDatabase(plan, async (db) => {
    assert.equal((await db`select 1 from instance`).length, 2, 'nothing of the first one is left');
    await loadAuthorities(db, keys);
  });
});
