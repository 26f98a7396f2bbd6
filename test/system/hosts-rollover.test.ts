/**
 * The domain authority is replaced in a domain over several hosts: one comes along with its router and its instance, one is away
 * while it begins, and one is away all the time. No request of a device fails, and nobody needs help afterwards.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { authorityOperations } from '../../src/api/authorities.ts';
import { instanceOperations } from '../../src/api/instances.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import type { TrustReport } from '../../src/link/messages.ts';
import { readRouterFile, routerFilePath } from '../../src/link/router-file.ts';
import { authorityFingerprint, certificatesIn } from '../../src/link/trusted-authorities.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, separateRoles } from '../harness/further-host.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { commandJson } from '../harness/scene.ts';

const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });

describe('a domain over several hosts', { timeout: 600_000 }, () => {
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let hamburg: FurtherHost;
  let potsdam: FurtherHost;

  before(async () => {
    const { file } = await workingTreeArchive();
    domain = await startDomain({ archive: file, instances: 1, externalDatabase: { url, outside: url } });
    await separateRoles(domain);
    await configureDomain(domain, '127.0.0.1:9');
    const journal = join(domain.home, 'journal.ndjson');
    fleet = await enrolFleet(domain, { devices: 6, accounts: 6, seed: 'rollover', interval: '300ms', journal });
    berlin = await joinFurtherHost(domain, 'berlin');
    hamburg = await joinFurtherHost(domain, 'hamburg');
    potsdam = await joinFurtherHost(domain, 'potsdam');
    const added = await domain.command('router', 'add', 'router-2', '--host', 'berlin', '--link-host', '127.0.0.1');
    assert.equal(added.code, 0, added.stderr);
    for (const host of ['berlin', 'hamburg'])
      await domain.api.call(instanceOperations.add, { body: { name: `${host}-1`, host } });
    await untilLinked('connection-1', 'server-1', 'berlin-1', 'hamburg-1');
    await domain.api.call(moveOperations.start, { body: { from: 'server-1', to: 'berlin-1' } });
    await until('the accounts have moved', 120_000, async () => {
      const rows = await domain.sql`
        select 1 from account a join instance i on i.id = a.instance_id where i.name <> 'berlin-1'`;
      return rows.length === 0;
    });
  });
  after(async () => {
    await fleet?.stop();
    for (const host of [potsdam, hamburg, berlin]) await host?.stop();
    await domain?.stop();
  });

  /** To both routers. */
  const untilLinked = async (...names: string[]) =>
    await until(`${names.join(', ')} are linked to both routers`, 120_000, async () => {
      const rows = await domain.sql<{ name: string }[]>`
        select name from component, jsonb_array_elements(detail -> 'links') link
         where kind in ('server', 'connection') and lease_until > clock_timestamp() and stopped_at is null
         group by name having count(*) filter (where (link ->> 'up')::boolean) = 2`;
      return names.every((name) => rows.some((row) => row.name === name));
    });
  const rollover = async () => (await domain.api.call(authorityOperations.list, {})).domain;
  const untilWaitingFor = async (state: string, ...names: string[]) =>
    await until(`the rollover has ${state} and waits for ${names.join() || 'nobody'}`, 180_000, async () => {
      const found = await rollover();
      const waiting = (found?.waitsFor ?? []).map((one) => one.replace(/ on .*/, ''));
      return found?.state === state && waiting.join() === names.join();
    });
  const authority = async (step: string) => await commandJson(domain, 'authority', step, 'domain', '--yes');
  async function issuing(): Promise<string> {
    const [row] = await domain.sql<{ certificate: Buffer }[]>`select certificate from authority where name = 'domain'`;
    return authorityFingerprint(row?.certificate ?? Buffer.of());
  }
  async function nothingFailed(): Promise<void> {
    await untilServed(domain, fleet);
    const { journal } = await assertNothingLost(domain, fleet);
    const { sent } = summarizeRequests(journal);
    assert.ok(sent > 0);
    assert.deepEqual(failuresIn(journal), []);
  }

  const routerFile = async () => await readRouterFile(routerFilePath(berlin.home, 'router-2'));
  let routerKey: string;

  test('a host that ended holds up no beginning, and is named where it would be locked out', async () => {
    routerKey = (await routerFile()).privateKeyPem;
    for (const host of [hamburg, potsdam]) await host.stop({ keep: true });
    await authority('roll');
    await untilWaitingFor('begun');
    await authority('switch');
    await untilWaitingFor('switched', 'hamburg-1');
    const refused = await domain.command('authority', 'retire', 'domain', '--yes');
    assert.match(
      refused.stderr,
      /Not known to work with the new domain authority: hamburg-1 on hamburg \(not running\)/,
    );
    await nothingFailed();
  });

  test('the router of a host that joined is certified by the new authority, for the same key', async () => {
    const { certificatePem, domainAuthorityPem, privateKeyPem } = await routerFile();
    assert.equal(privateKeyPem, routerKey);
    const [issuer, ...others] = certificatesIn(domainAuthorityPem);
    assert.equal(others.length, 1);
    assert.equal(authorityFingerprint(issuer ?? Buffer.of()), await issuing());
    assert.ok(new X509Certificate(certificatePem).verify(new X509Certificate(issuer ?? '').publicKey));
  });

  test('when it returns, its instance comes along, and then the former authority goes', async () => {
    hamburg.start();
    await untilLinked('hamburg-1');
    await untilWaitingFor('switched');
    await authority('retire');
    const issues = await issuing();
    await until('nobody trusts the former one', 180_000, async () => {
      const rows = await domain.sql<{ authorities: TrustReport }[]>`
        select detail -> 'authorities' as authorities from component where kind in ('router', 'server', 'connection')`;
      return rows.every(
        ({ authorities: { trusts, credentialBy } }) => trusts.join() === issues && credentialBy === issues,
      );
    });
    await untilLinked('connection-1', 'server-1', 'berlin-1', 'hamburg-1');
    await nothingFailed();
  });

  test('a host that knows nothing but the former authority gets an instance', async () => {
    potsdam.start();
    await domain.api.call(instanceOperations.add, { body: { name: 'potsdam-1', host: 'potsdam' } });
    await untilLinked('potsdam-1');
    await nothingFailed();
  });
});
