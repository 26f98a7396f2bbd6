/**
 * The original’s phased upgrade over two computers: the new release is started on a computer that joined, accounts move there while
 * their devices are being served, and what they left is upgraded in place when the upgrade is finalized.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { emptyDatabase, type OverTwoHosts, startOverTwoHosts } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, readEvidence } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, takeOver } from '../harness/further-host.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts-upgrade', interval: '500ms' };
const externalDatabase = await emptyDatabase();

describe('a phased upgrade over two hosts', { timeout: 600_000 }, () => {
  let at: OverTwoHosts;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let next: BuiltArchive;

  before(async () => {
    const own = await workingTreeArchive();
    next = await nextArchive();
    const options = { externalDatabase, fleet: fleetOptions, flags: ['--administration'] };
    at = await startOverTwoHosts({
      ...options,
      prepare: async (domain) => {
        await succeeds(domain.command('administration-service', 'add', 'administration-2', '--host', 'berlin'));
        await succeeds(domain.command('router', 'add', 'router-2', '--host', 'berlin', '--link-host', '127.0.0.1'));
      },
    });
    ({ domain, fleet, berlin } = at);
    for (const name of ['administration-2', 'router-2']) await untilAlive(name, own.release);
  });
  after(async () => await at?.stop());

  async function succeeds(running: ReturnType<RunningDomain['command']>): Promise<void> {
    const { code, stderr } = await running;
    assert.equal(code, 0, stderr);
  }

  async function untilAlive(name: string, release: string): Promise<void> {
    await until(`${name} of ${release} is alive`, 60_000, async () => {
      const rows = await domain.sql`
        select 1 from component where name = ${name} and release = ${release} and stopped_at is null and lease_until > clock_timestamp()`;
      return rows.length === 1;
    });
  }

  /** At the console's address of the further host: who answers what. */
  async function askConsoleThere(): Promise<{
    by: string | null;
    status: number;
    body: { detail?: string; code?: string };
  }> {
    const { url } = JSON.parse(await readFile(join(berlin.home, 'console.json'), 'utf8')) as { url: string };
    const headers = { authorization: `Bearer ${domain.token}` };
    const answered = await fetch(`${url}/api/v1/upgrade`, { headers });
    const body = (await answered.json()) as { detail?: string; code?: string };
    return { by: answered.headers.get('bramble-served-by'), status: answered.status, body };
  }

  test('a host that nobody knows is refused before anything changes', async () => {
    const planned = { instances: { 'server-1': { host: 'nowhere' } } };
    await assert.rejects(startUpgrade(domain, next, planned), {
      code: 'ERR_UPGRADE_INSTANCE',
      message: /on nowhere, which has not joined.*usable: /,
    });
  });

  test('the release reaches the host by itself, and accounts move to the new instance there', async () => {
    const place = { instances: { 'server-1': { host: 'berlin', name: 'berlin-1' } } };
    const options = { ...place, oldInstances: 'upgrade', wavePercentages: [100], soakSeconds: 1, gate: openGate };
    await startUpgrade(domain, next, { ...options, replace: true });
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    assert.ok((await readdir(join(berlin.home, 'releases'))).includes(next.release));
    const [row] = await domain.sql`
      select count(*) filter (where i.name = 'berlin-1')::int as moved, count(*)::int as "all"
        from account a join instance i on i.id = a.instance_id`;
    assert.equal(row?.['moved'], row?.['all']);
    const [component] = await domain.sql`select host, release from component where name = 'berlin-1'`;
    assert.deepEqual({ ...component }, { host: 'berlin', release: next.release });
    const [late] = await domain.sql`select state from desired_process where name = 'administration-2'`;
    assert.equal(late?.['state'], 'stopped', 'the supervisor of its host is of the release before');
    const [coordinator] = await domain.sql<{ host: string }[]>`
      select host from desired_process where kind = 'coordinator'`;
    const { by, status, body } = await askConsoleThere();
    assert.deepEqual([by, status, body.code], ['signpost', 409, 'ERR_RELEASE_FENCED']);
    assert.match(body.detail ?? '', new RegExp(`steered from the host ${coordinator?.host}`));
  });

  test('finalizing waits for the supervisor of each host by its name, upgrades the first in place, and loses nothing', async () => {
    await domain.api.call(upgradeOperations.finalize, {});
    await until('it waits for both supervisors', 120_000, async () => {
      const { waitingFor } = await domain.api.call(upgradeOperations.show, {});
      return waitingFor !== null && /berlin/.test(JSON.stringify(waitingFor));
    });
    const router = async () => (await domain.sql`select process_id, release from component where name = 'router-2'`)[0];
    const before = await router();
    assert.equal(
      before?.['release'],
      next.release,
      'routers of every host were replaced before the first account moved',
    );
    for (const host of [domain, berlin]) await takeOver(host, next.release);
    await untilUpgrade(domain, ['done'], { timeoutMs: 280_000 });
    assert.deepEqual(await router(), before, 'the next supervisor goes on with the same router, and its tunnels');
    const rows =
      await domain.sql`select distinct release from component where stopped_at is null and kind <> 'coordinator'`;
    assert.deepEqual(
      rows.map((one) => one['release']),
      [next.release],
    );
    await untilAlive('administration-2', next.release);
    await until(
      'it answers at its host’s console',
      60_000,
      async () => (await askConsoleThere()).by === 'administration',
    );
    await assertNothingLost(domain, fleet);
    assert.deepEqual(failuresIn((await readEvidence(fleet)).journal), [], 'no request of a device failed');
  });
});
