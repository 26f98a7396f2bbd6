/**
 * The original’s phased upgrade over two computers: the new release is started on a computer that joined, accounts move there while
 * their devices are being served, and what they left is upgraded in place when the upgrade is finalized.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, separateRoles, takeOver } from '../harness/further-host.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts-upgrade', interval: '500ms' };
const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });

describe('a phased upgrade over two hosts', { timeout: 600_000 }, () => {
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let next: BuiltArchive;

  before(async () => {
    const own = await workingTreeArchive();
    next = await nextArchive();
    domain = await startDomain({ archive: own.file, instances: 1, externalDatabase: { url, outside: url } });
    await separateRoles(domain);
    await configureDomain(domain, '127.0.0.1:9');
    fleet = await enrolFleet(domain, { ...fleetOptions, journal: join(domain.home, 'journal.ndjson') });
    berlin = await joinFurtherHost(domain, 'berlin');
  });
  after(async () => {
    await fleet?.stop();
    await berlin?.stop();
    await domain?.stop();
  });

  test('a host that nobody knows is refused before anything changes', async () => {
    const planned = { instances: { 'server-1': { host: 'nowhere' } } };
    await startUpgrade(domain, next, planned);
    await until('the checks have answered', 60_000, async () => {
      const { checks = [] } = await domain.api.call(upgradeOperations.show, {});
      return checks.some(
        ({ name, result, message }) => name === 'hosts' && result === 'error' && /nowhere/.test(message),
      );
    });
  });

  test('the release reaches the host by itself, and accounts move to the new instance there', async () => {
    const place = { instances: { 'server-1': { host: 'berlin', name: 'berlin-1' } } };
    await startUpgrade(domain, next, { ...place, replace: true, soakSeconds: 1, gate: openGate });
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    assert.ok((await readdir(join(berlin.home, 'releases'))).includes(next.release));
    const [row] = await domain.sql`
      select count(*) filter (where i.name = 'berlin-1')::int as moved, count(*)::int as "all"
        from account a join instance i on i.id = a.instance_id`;
    assert.equal(row?.['moved'], row?.['all']);
    const [component] = await domain.sql`select host, release from component where name = 'berlin-1'`;
    assert.deepEqual({ ...component }, { host: 'berlin', release: next.release });
  });

  test('finalizing waits for the supervisor of each host by its name, upgrades the first in place, and loses nothing', async () => {
    await domain.api.call(upgradeOperations.finalize, {});
    await until('it waits for both supervisors', 120_000, async () => {
      const { waitingFor } = await domain.api.call(upgradeOperations.show, {});
      return waitingFor !== null && /berlin/.test(JSON.stringify(waitingFor));
    });
    for (const host of [domain, berlin]) await takeOver(host, next.release);
    await untilUpgrade(domain, ['done'], { timeoutMs: 280_000 });
    const rows =
      await domain.sql`select distinct release from component where stopped_at is null and kind <> 'coordinator'`;
    assert.deepEqual(
      rows.map((one) => one['release']),
      [next.release],
    );
    await assertNothingLost(domain, fleet);
    const { failedByClass } = summarizeRequests((await readEvidence(fleet)).journal);
    assert.deepEqual(failedByClass, {}, 'no request of a device failed');
  });
});
