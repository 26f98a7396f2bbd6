/** The domain authority is replaced, turned back and retired over REST and `bramble`, by an administration service as its role. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import type { AuthorityList } from '../../api/authorities.ts';
import { systemClock } from '../../base/clock.ts';
import type { SrpIdentifier } from '../../base/ids.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { keepCredential } from '../../component/authority-following.ts';
import { openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { loadDomainAuthority, loadInstanceAuthorities } from '../../domain/authorities.ts';
import { readLastStatement } from '../../domain/authority-statements.ts';
import { readRouteSigners } from '../../domain/route-signer-roll.ts';
import { credentialRenewal } from '../../instances/credential-renewal.ts';
import { rollDomainAuthority } from '../../instances/domain-authority-roll.ts';
import { trustOf } from '../../instances/holder-trust.ts';
import { readSignedRevocationList } from '../../instances/srp-credential-store.ts';
import { readCredential } from '../../link/credential.ts';
import { revocationListShape } from '../../link/messages.ts';
import { type RouterFile, readRouterFile, routerFilePath } from '../../link/router-file.ts';
import { openEnvelope } from '../../link/signed-envelope.ts';
import { authorityFingerprint, certificatesIn, issuerAmong, keysOf, pemOf } from '../../link/trusted-authorities.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { issueCertificate, randomSerialHex } from '../../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { setDesiredProcess } from '../../registry/desired-processes.ts';
import { until } from '../../testing/condition.ts';
import { codeOf, startAdministration, whileUpgrading } from './administration-fixture.ts';
import { createCertificateUpkeep } from './certificate-upkeep.ts';
import { signForDomain } from './domain-signing.ts';
import { deliverSrpCredential } from './srp-issuing.ts';

const admin = await startAdministration();
const { db, context, home } = admin;
const ending = new AbortController();
let asRole: ReturnType<typeof openDatabase>;
let asConnection: ReturnType<typeof openDatabase>;
before(async () => {
  await establishRoles(admin.databaseUrl, home);
  const credentials = await readRoleCredentials(home);
  const open = (role: 'administration' | 'connection') =>
    openDatabase(urlForRole(admin.databaseUrl, credentials.get(role)), {
      applicationName: `bramble/${role}/one@test#2`,
      max: 2,
    });
  asRole = open('administration');
  asConnection = open('connection');
});
after(async () => {
  ending.abort();
  await Promise.all([asRole, asConnection].map((each) => each?.end({ timeout: 5 })));
  await admin.close();
});

const bramble = async (...argv: string[]) => await runBramble(admin, ['authority', ...argv, '--yes']);
const rollover = async () => ((await admin.call('GET', '/authorities')).body as AuthorityList).domain;
const present = async () => (await loadDomainAuthority(db, context.masterKeys)).certificateDer;
const certificateOf = async (name: string) => {
  const [row] = await db<{ certificate: Buffer }[]>`select certificate from authority where name = ${name}`;
  return row?.certificate;
};
/** As a component reports it, which names authorities by their certificates. */
async function reports(
  name: string,
  kind: 'router' | 'server' | 'connection',
  trusts: (Buffer | undefined)[],
  credentialBy: Buffer,
): Promise<void> {
  const { present: routeSignerSerial } = await readRouteSigners(db);
  const authorities = {
    trusts: trusts.flatMap((der) => (der ? [authorityFingerprint(der)] : [])),
    credentialBy: authorityFingerprint(credentialBy),
  };
  const features = context.features.map((feature) => feature.name);
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until, detail)
    values (${name}, ${kind}, 'h', 'b', 1, ${context.release}, '{1}', ${features}, now() + interval '1 hour',
            ${db.json({ authorities, routeSignerSerial } as never)})
    on conflict (name) do update set detail = excluded.detail, stopped_at = null, lease_until = excluded.lease_until`;
}

test('until the upgrade is finalized the domain authority is not replaced', async () => {
  await whileUpgrading(admin, async () => {
    const { status, body } = await admin.call('POST', '/authorities/domain/roll');
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
  });
  for (const step of ['switch', 'revert', 'retire']) {
    const { status, body } = await admin.call('POST', `/authorities/domain/${step}`);
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_STATE'], step);
  }
});

test('a step is numbered by the time that it is given, which is the database’s', async () => {
  const later = new Date(Date.now() + 86_400_000);
  const turnedBack = new Error('turned back');
  const rolled = db.begin(async (tx) => {
    await rollDomainAuthority(tx, context.masterKeys, { name: 'Example' }, later);
    assert.equal((await readLastStatement(tx))?.number, later.getTime());
    throw turnedBack;
  });
  await assert.rejects(rolled, turnedBack);
});

test('each step waits for every component, and names it', async () => {
  const former = await present();
  await reports('server-1', 'server', [former], former);
  await reports('router-1', 'router', [former], former);
  assert.equal((await bramble('roll', 'domain')).code, 0);
  const next = await certificateOf('domain-other');
  assert.ok(next && !next.equals(former));
  assert.match((await bramble('roll', 'domain')).errors, /replaced already.*ERR_STATE/s);
  assert.deepEqual(await rollover(), { state: 'begun', waitsFor: ['router-1 on h', 'server-1 on h'] });
  assert.match(
    (await bramble('switch', 'domain')).errors,
    /router-1 on h, server-1 on h. Nothing was changed.*ERR_STATE/s,
  );
  assert.match((await bramble('retire', 'domain')).errors, /does not issue yet.*ERR_STATE/s);
  assert.deepEqual(await present(), former);
  const { otherDomainDer } = await loadInstanceAuthorities(db, context.masterKeys);
  assert.deepEqual(otherDomainDer, next, 'devices that enrol trust both');

  await reports('server-1', 'server', [former, next], former);
  await reports('router-1', 'router', [former, next], former);
  await signForDomain({ ...context, db: asRole });
  const before = await readSignedRevocationList(db);
  const switched = await bramble('switch', 'domain');
  assert.equal(switched.code, 0, switched.errors);
  assert.deepEqual(await present(), next);
  await signForDomain({ ...context, db: asRole });
  const list = await readSignedRevocationList(db);
  assert.ok((list?.number ?? 0) > (before?.number ?? 0));
  openEnvelope(list?.envelope, revocationListShape, keysOf([next]));
  assert.match(
    (await runBramble(admin, ['authority', 'list'])).output,
    /new domain authority issues; not known to work with it: router-1/,
  );

  await reports('server-1', 'server', [next, former], next);
  await db`update component set stopped_at = now() where name = 'router-1'`;
  await setDesiredProcess(db, {
    ...{ name: 'connection-9', kind: 'connection', host: 'far', release: context.release },
    ...{ state: 'running', settings: {} },
  });
  const refused = await bramble('retire', 'domain');
  assert.match(
    refused.errors,
    /router-1 on h \(not running\), connection-9 on far \(not running\). Nothing was changed/,
  );
  await db`delete from desired_process where name = 'connection-9'`;
  await reports('router-1', 'router', [next, former], next);
  await db`insert into host (name, public_key, administers) values ('idle', '', false)`;
  await db`insert into host_master_key (host, key_id, envelope) values ('idle', 'k', 'signed by the former one')`;
  const retired = await bramble('retire', 'domain');
  assert.equal(retired.code, 0, retired.errors);
  assert.equal(
    (await db`select from host_master_key`).length,
    0,
    'hosts are offered no key by one that they do not trust',
  );
  assert.equal(await rollover(), null);
  assert.equal(await certificateOf('domain-other'), undefined);
  assert.deepEqual((await db`select from domain_key_other`).length, 0);
  const trust = await trustOf(asConnection, pemOf([former]));
  assert.deepEqual(trust.authorities, [next], 'whoever was away is led from the former to the new one');
  const [bridge] = trust.bridges;
  assert.ok(bridge && new X509Certificate(bridge).verify(new X509Certificate(former).publicKey));
});

test('one turns back from each step', async () => {
  const former = await present();
  await bramble('roll', 'domain');
  const dropped = await certificateOf('domain-other');
  for (const name of ['server-1', 'router-1'] as const) {
    await reports(name, name === 'router-1' ? 'router' : 'server', [former, dropped], former);
  }
  await bramble('switch', 'domain');
  assert.deepEqual(await present(), dropped);
  await reports('server-1', 'server', [former, dropped], dropped ?? former);
  assert.equal((await bramble('revert', 'domain')).code, 0);
  assert.deepEqual(await present(), former);
  assert.match((await bramble('revert', 'domain')).errors, /authority that stays: server-1 on h\. Nothing was changed/);
  await reports('server-1', 'server', [former, dropped], former);
  await reports('router-1', 'router', [former, dropped], former);
  const reverted = await bramble('revert', 'domain');
  assert.equal(reverted.code, 0, reverted.errors);
  assert.equal(await rollover(), null);
  const { authorities, bridges } = await trustOf(db, pemOf([former]));
  assert.deepEqual(authorities, [former]);
  assert.equal(bridges.length, 1, 'the bridge to what never came is gone');
});

test('holders and routers get what they need by themselves, and the connection service’s role is enough', async () => {
  const former = await present();
  const [row] = await db<
    { identifier: SrpIdentifier }[]
  >`select srp_identifier as identifier from instance where name = 'one'`;
  const identifier = row?.identifier ?? ('' as SrpIdentifier);
  await asRole.begin((tx) => deliverSrpCredential(context, tx, identifier, true));
  const path = routerFilePath(home, 'router-1');
  const keys = await createEcKeyPair();
  const certificateDer = issueCertificate({
    ...{
      authority: await loadDomainAuthority(db, context.masterKeys),
      publicKey: { spkiDer: spkiDerOf(keys.publicKey) },
    },
    ...{ subject: { commonName: 'r' }, days: 800, serialHex: randomSerialHex(), usage: 'server', dnsNames: ['r.test'] },
  });
  const file: RouterFile = {
    ...{ certificatePem: pemOf([certificateDer]), privateKeyPem: privateKeyPemOf(keys.privateKey) },
    domainAuthorityPem: pemOf([former]),
  };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(file));
  const upkeep = createCertificateUpkeep({
    ...{
      db: asRole,
      release: context.release,
      name: context.name,
      home,
      host: context.host,
      masterKeys: context.masterKeys,
    },
    ...{ clock: systemClock, log: silentLogger },
  });
  const issuers = async () => {
    const [credential, router] = [await readCredential(home, identifier), await readRouterFile(path)];
    return [credential, router].map(({ certificatePem, domainAuthorityPem }) => ({
      trusted: certificatesIn(domainAuthorityPem).length,
      by: issuerAmong(new X509Certificate(certificatePem), certificatesIn(domainAuthorityPem)),
    }));
  };
  let reread = 0;
  const links = { reread: async () => void reread++ };
  const running = keepCredential({
    context: { environment: { home } as never, log: silentLogger, db: asConnection },
    ...{ identifier, links, ...credentialRenewal(asConnection), signal: ending.signal },
  });
  const untilAre = async (what: string, trusted: number, by: Buffer | undefined) =>
    await until(what, 60_000, async () => {
      await upkeep.turn();
      await signForDomain({ ...context, db: asRole });
      const expected = { trusted, by: by && authorityFingerprint(by) };
      return JSON.stringify(await issuers()) === JSON.stringify([expected, expected]);
    });
  await upkeep.turn();
  const inLine = await stat(path);
  await upkeep.turn();
  assert.equal((await stat(path)).ino, inLine.ino, 'nothing is rewritten without need');

  await bramble('roll', 'domain');
  const next = await certificateOf('domain-other');
  await untilAre('both are trusted', 2, former);
  for (const [name, kind] of [
    ['server-1', 'server'],
    ['router-1', 'router'],
  ] as const)
    await reports(name, kind, [former, next], former);
  await bramble('switch', 'domain');
  await untilAre('both have certificates of the new one', 2, next);
  const { certificatePem } = await readCredential(home, identifier);
  const [, ...behind] = certificatesIn(certificatePem);
  assert.equal(behind.length, 2, 'bridges of both rollovers stand behind it');
  for (const [name, kind] of [
    ['server-1', 'server'],
    ['router-1', 'router'],
  ] as const)
    await reports(name, kind, [former, next], next ?? former);
  const retired = await bramble('retire', 'domain');
  assert.equal(retired.code, 0, retired.errors);
  await untilAre('only the new one is trusted', 1, next);
  assert.ok(reread > 0);
  ending.abort();
  await running;
});
