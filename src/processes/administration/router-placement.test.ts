/**
 * Routers are added and removed: what is refused, and what a request for a certificate must prove. And the supervisor's side of it,
 * which may end at any moment and takes up what it finds.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { clientOf } from '../../api/client-fixture.ts';
import { routerOperations } from '../../api/routers.ts';
import { readPresent } from '../../base/present-file.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { writeHostKey } from '../../hosts/host-key.ts';
import { insertHost, removeHost, setDraining } from '../../hosts/host-store.ts';
import { type RouterFile, readRouterFile, routerFilePath, routerFolder } from '../../link/router-file.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import { issueCertificate, randomSerialHex } from '../../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { registerRouter } from '../../registry/components.ts';
import { isFormerRouter, listRouterAddresses } from '../../routers/router-addresses.ts';
import type { RouterRequest } from '../../routers/router-request.ts';
import { readRouterAnswer, storeRouterRequest } from '../../routers/router-request-store.ts';
import { until } from '../../testing/condition.ts';
import type { SupervisorEvent } from '../supervisor/events.ts';
import type { ListeningSocket } from '../supervisor/listening-socket.ts';
import { createRouterFiles } from '../supervisor/router-files.ts';
import {
  configureForHosts,
  placeRouter,
  registerTestRouter,
  startAdministration,
  whileUpgrading,
} from './administration-fixture.ts';
import { listCertificates } from './certificate-list.ts';
import { signForDomain } from './domain-signing.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
const { db, context } = admin;
const home = await mkdtemp(join(tmpdir(), 'bramble-routers-'));
after(async () => {
  await admin.close();
  await rm(home, { recursive: true, force: true });
});
await configureForHosts(admin);
const hostKeys = await createEcKeyPair();
const domainAuthority = await loadDomainAuthority(db, context.masterKeys);
const domainAuthorityPem = new X509Certificate(domainAuthority.certificateDer).toString();
const hostKeyPem = privateKeyPemOf(hostKeys.privateKey);
await mkdir(join(home, 'keys'), { recursive: true });
await writeHostKey(home, { privateKeyPem: hostKeyPem, domainAuthorityPem });

const client = clientOf(admin);
const add = (change: Partial<{ name: string; host: string; linkHost: string; linkPort: number }> = {}) =>
  client.call(routerOperations.add, {
    body: { name: 'router-2', host: 'berlin', linkHost: 'berlin.example.org', ...change },
  });
const remove = (name: string) => client.call(routerOperations.remove, { params: { name } });
const listed = async () =>
  (await client.call(routerOperations.list, {})).routers.map(({ name, state, linkPort }) => [name, state, linkPort]);
const sign = () => signForDomain(context as never);

beforeEach(async () => {
  await placeRouter(db, 'mdm.example.org');
  await db`delete from desired_process`;
  await db`delete from component`;
  await db.begin(async (tx) => {
    await removeHost(tx, 'berlin');
    await insertHost(tx, { name: 'berlin', publicKey: spkiDerOf(hostKeys.publicKey), administers: false });
  });
  await rm(routerFolder(home, 'router-2'), { recursive: true, force: true });
  await registerTestRouter(db, 'router-1');
});

test('before the upgrade is finalized none is added or removed, and it says so', limited, async () => {
  await whileUpgrading(admin, async () => {
    await assert.rejects(add(), { code: 'ERR_FEATURE_LOCKED' });
    await assert.rejects(remove('router-1'), { code: 'ERR_FEATURE_LOCKED' });
  });
  await add();
});

test('none is added where it could not run or be dialled, or under a name that is taken', limited, async () => {
  await db`
    insert into supervisor (host, release, process_id, node_version, postgres_server)
    values ('by-hand', ${context.release}, 1, 'v26.0.0', '18.4') on conflict do nothing`;
  for (const [change, code] of [
    [{ host: 'nowhere' }, 'ERR_NOT_FOUND'],
    [{ host: 'by-hand' }, 'ERR_CONFLICT'],
    [{ host: 'test-host', linkHost: '127.0.0.1' }, 'ERR_CONFLICT'],
    [{ name: 'router-1' }, 'ERR_NAME_TAKEN'],
    [{ name: 'Router' }, 'ERR_INPUT'],
    [{ linkHost: 'https://berlin' }, 'ERR_INPUT'],
    [{ linkHost: 'berlin:3101' }, 'ERR_INPUT'],
    [{ linkHost: '' }, 'ERR_INPUT'],
    [{ linkPort: 65_536 }, 'ERR_INPUT'],
  ] as const) {
    await assert.rejects(add(change), { code }, JSON.stringify(change));
  }
  await db.begin((tx) => setDraining(tx, 'berlin', true));
  await assert.rejects(add(), { code: 'ERR_CONFLICT' });
  await db.begin((tx) => setDraining(tx, 'berlin', false));
  await add();
  await assert.rejects(add(), { code: 'ERR_NAME_TAKEN' });
  await assert.rejects(add({ name: 'router-3' }), { code: 'ERR_CONFLICT' });
  assert.deepEqual(await listed(), [
    ['router-1', 'at-work', 3101],
    ['router-2', 'waiting', null],
  ]);
});

test('a domain keeps a router that is at work', limited, async () => {
  await assert.rejects(remove('router-1'), { code: 'ERR_ROUTER_IN_USE' });
  await add();
  await assert.rejects(remove('router-1'), { code: 'ERR_ROUTER_IN_USE' });
  await remove('router-2');
  await assert.rejects(remove('router-2'), { code: 'ERR_NOT_FOUND' });
});

test('of the last two at work, removed at once, one stays', limited, async () => {
  await add();
  await registerTestRouter(db, 'router-2');
  const removed = await Promise.allSettled(['router-1', 'router-2'].map(remove));
  assert.deepEqual(removed.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal((await listed()).length, 1);
});

test(
  'the first host gets its router back by an administration service there, with the key that it had',
  limited,
  async () => {
    await add();
    await registerTestRouter(db, 'router-2');
    const own = { name: 'router-1', host: 'test-host', linkHost: 'mdm.example.org' };
    const keys = new Set<string>();
    for (const _ of [1, 2]) {
      await remove('router-1');
      await add(own);
      const file = await readRouterFile(routerFilePath(admin.home, 'router-1'));
      keys.add(file.privateKeyPem);
      assert.equal(new X509Certificate(file.certificatePem).checkHost('mdm.example.org'), 'mdm.example.org');
      assert.ok(new X509Certificate(file.certificatePem).checkPrivateKey(createPrivateKey(file.privateKeyPem)));
      assert.deepEqual((await listed())[0], ['router-1', 'away', 3101]);
    }
    assert.equal(keys.size, 1);
    await remove('router-1');
    const file = join(admin.home, 'config.json');
    const configuration = await readFile(file, 'utf8');
    await writeFile(file, JSON.stringify({ ...JSON.parse(configuration), listenAddress: '127.0.0.1' }));
    await assert.rejects(add(own), { code: 'ERR_CONFLICT' });
    await writeFile(file, configuration);
  },
);

test('what a removed router still reports makes no component of it, until it is added again', limited, async () => {
  await add();
  const reported = {
    ...{ name: 'router-2', host: 'berlin', bootId: 'b', processId: 7, release: context.release, linkVersions: [1] },
    ...{ features: [], loopbackUrl: null, key: 'k' },
  };
  const report = (change = {}) => registerRouter(db, { ...reported, ...change }, {}, isFormerRouter);
  const known = async () => (await db`select 1 from component where name = 'router-2'`).length;
  await report();
  assert.equal(await known(), 1);
  await remove('router-2');
  await report();
  assert.equal(await known(), 0);
  await add();
  await report({ host: 'hamburg', key: 'of the former' });
  assert.equal(await known(), 0, 'one of its name drains on another host');
  await report();
  assert.equal(await known(), 1);
});

/** A request as berlin's supervisor makes it; `by` signs it. */
async function request(change: Partial<RouterRequest> = {}, by = hostKeyPem) {
  const { publicKey } = await createEcKeyPair();
  const asked: RouterRequest = {
    ...{ router: 'router-2', host: 'berlin', listenAddress: '0.0.0.0', srpPort: 3101, publicPort: 8443 },
    publicKey: spkiDerOf(publicKey).toString('base64'),
    ...change,
  };
  const envelope = signEnvelope(asked, by);
  assert.ok(await storeRouterRequest(db, 'router-2', envelope));
  await sign();
  return await readRouterAnswer(db, 'router-2', envelope);
}

test(
  'a certificate goes only to the host on which the domain wants the router, and then it is dialled',
  limited,
  async () => {
    await add({ linkPort: 4101 });
    const stranger = privateKeyPemOf((await createEcKeyPair()).privateKey);
    for (const [answer, why] of [
      [await request({}, stranger), /not signed/],
      [await request({ router: 'router-1' }), /another router/],
      [await request({ host: 'hamburg' }), /another router/],
      [await request({ srpPort: 0 }), /malformed/],
      [await request({ publicKey: 'AAAA' }), /./],
      [await request({ listenAddress: '127.0.0.1' }), /set listenAddress/],
    ] as const) {
      assert.equal(answer.kind, 'refused');
      assert.match('reason' in answer ? answer.reason : '', why);
    }
    assert.deepEqual((await listed())[1], ['router-2', 'refused', null]);
    const addresses = async () => (await listRouterAddresses(db)).map(({ host, port }) => `${host}:${port}`);
    assert.deepEqual(await addresses(), ['mdm.example.org:3101']);
    const answer = await request();
    assert.ok(answer.kind === 'certificate');
    const certificate = new X509Certificate(answer.certificatePem);
    for (const name of ['mdm.example.org', 'tunnel.example.org', 'router.bramble.internal'])
      assert.equal(certificate.checkHost(name), name);
    assert.ok(certificate.verify(new X509Certificate(domainAuthorityPem).publicKey));
    assert.deepEqual(await addresses(), ['mdm.example.org:3101', 'berlin.example.org:4101']);
    const soon = new Date(certificate.validToDate.getTime() - 30 * 86_400_000);
    const ends = (await listCertificates(context, soon)).find(({ name }) => name === 'router router-2');
    assert.deepEqual([ends?.endsAt, ends?.ofHome], [certificate.validToDate, false]);
    assert.match(ends?.warning ?? '', /expires in 30 days.*supervisor of its host/);
    await remove('router-2');
    assert.deepEqual(await addresses(), ['mdm.example.org:3101']);
    assert.equal(await storeRouterRequest(db, 'router-2', signEnvelope({}, hostKeyPem)), false);
  },
);

/** What a supervisor of berlin keeps; each call is one that has just started. */
function supervisor(srpPort = 3101) {
  const events: SupervisorEvent[] = [];
  const sockets = (['srp', 'public'] as const).map(
    (name) => ({ name, address: '0.0.0.0', port: name === 'srp' ? srpPort : 8443 }) as ListeningSocket,
  );
  const onEvent = (event: SupervisorEvent) => void events.push(event);
  const files = createRouterFiles({ home, host: 'berlin', sockets, onReady: () => undefined, onEvent });
  const heard = (type: SupervisorEvent['type']) =>
    until(`the supervisor says ${type}`, 30_000, async () => {
      files.look(admin.databaseUrl, ['router-2']);
      await sign();
      return events.some((event) => event.type === type);
    });
  return { files, heard };
}
const path = routerFilePath(home, 'router-2');
const pendingPath = join(routerFolder(home, 'router-2'), 'request.json');

test('a supervisor asks once, and one that ended in between takes up the same request and key', limited, async () => {
  await add();
  const first = supervisor();
  assert.equal(first.files.isThere('router-2'), false);
  first.files.look(admin.databaseUrl, ['router-2']);
  await until('it has asked', 30_000, async () => (await db`select 1 from router_request`).length === 1);
  const asked = JSON.parse(await readFile(pendingPath, 'utf8')) as { privateKeyPem: string };
  // Answered while nobody looks; the next supervisor finds the answer.
  await until('it waits no longer', 30_000, async () => {
    const sessions = await db`
      select from pg_stat_activity
       where datname = current_database() and application_name like 'bramble/supervisor@berlin#%'`;
    return sessions.length === 0;
  });
  await sign();
  const next = supervisor();
  await next.heard('router-certified');
  assert.equal(next.files.isThere('router-2'), true);
  const file = await readRouterFile(path);
  assert.deepEqual([file.privateKeyPem, file.domainAuthorityPem], [asked.privateKeyPem, domainAuthorityPem]);
  await until('the request is gone', 30_000, async () => (await readPresent(pendingPath)) === null);
  // It ended after it had written the file, and before it removed the request.
  await writeFile(pendingPath, '{ cut short');
  await supervisor(3102).heard('router-certified');
  assert.equal((await readRouterFile(path)).privateKeyPem, asked.privateKeyPem);
  assert.deepEqual((await listed())[1]?.[2], 3102);
});

test(
  'a certificate that ends soon is renewed for the same key, and one that is fresh is left alone',
  limited,
  async () => {
    await add();
    await supervisor().heard('router-certified');
    const before = await readRouterFile(path);
    const ending = issueCertificate({
      authority: domainAuthority,
      publicKey: {
        spkiDer: new X509Certificate(before.certificatePem).publicKey.export({ type: 'spki', format: 'der' }),
      },
      ...{
        subject: { commonName: 'mdm.example.org' },
        days: 1,
        serialHex: randomSerialHex(),
        usage: 'server' as const,
      },
      notBefore: new Date(Date.now() - 86_400_000),
    });
    const aged: RouterFile = { ...before, certificatePem: new X509Certificate(ending).toString() };
    await writeFile(path, JSON.stringify(aged));
    await supervisor().heard('router-certified');
    const after = await readRouterFile(path);
    assert.equal(after.privateKeyPem, before.privateKeyPem);
    assert.ok(new X509Certificate(after.certificatePem).validToDate.getTime() > Date.now() + 300 * 86_400_000);
  },
);

test('a supervisor says why it got none, and tells of a router that the domain does not know', limited, async () => {
  await supervisor().heard('router-not-certified');
  await add();
  await db`update host set public_key = ${spkiDerOf((await createEcKeyPair()).publicKey)} where name = 'berlin'`;
  await supervisor().heard('router-not-certified');
  assert.deepEqual((await listed())[1], ['router-2', 'refused', null]);
  assert.equal(await readPresent(path), null);
});
