/**
 * An upgrade that is moving accounts gets another computer: it joins, fetches the new release, and takes its share of what has not
 * begun to move. An instance that is added there by hand takes what is assigned to it. Reversing brings everybody home.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { type AtWork, emptyDatabase, startAtWork } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, readEvidence } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, joinFurtherHost, makeRoles } from '../harness/further-host.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts-on-the-way', interval: '500ms' };
const externalDatabase = await emptyDatabase();

describe('an upgrade that gets another host on the way', { timeout: 600_000 }, () => {
  let at: AtWork;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let own: BuiltArchive;
  let next: BuiltArchive;

  before(async () => {
    own = await workingTreeArchive();
    next = await nextArchive();
    at = await startAtWork({ instances: 1, externalDatabase, beforeStart: makeRoles, fleet: fleetOptions });
    ({ domain, fleet } = at);
  });
  after(async () => {
    await berlin?.stop();
    await at?.stop();
  });

  async function says(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await domain.command(...words);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** `server-1 6` of the instances that are not retired. */
  async function placed(): Promise<string[]> {
    const rows = await domain.sql<{ text: string }[]>`
      select i.name || ' ' || count(a.id) as text from instance i left join account a on a.instance_id = i.id
       where i.retired_at is null group by i.name`;
    return rows.map(({ text }) => text).sort();
  }

  test('it joins while the canary is observed, and shares the waves that are left', async () => {
    const waves = { canaries: ['user-0001'], wavePercentages: [100], soakSeconds: 600 };
    await startUpgrade(domain, next, { ...waves, gate: openGate, instances: { 'server-1': { name: 'first' } } });
    await untilUpgrade(domain, ['moving'], { timeoutMs: 200_000 });
    const nowhere = await domain.command('upgrade', 'set', '--place', 'server-1=berlin');
    assert.match(nowhere.stderr, /Nothing can be added on berlin, which has not joined.*\(ERR_UPGRADE_INSTANCE\)/s);
    berlin = await joinFurtherHost(domain, 'berlin');
    await says('instance', 'add', 'by-hand', '--host', 'berlin');
    await says('account', 'assign', 'user-0002', 'by-hand');
    const added = JSON.stringify({ addDestinations: { 'server-1': [{ name: 'second', host: 'berlin' }] } });
    await says('upgrade', 'set', '--options', added);
    await until('the canary has settled', 120_000, async () => {
      const { waves: seen } = await domain.api.call(upgradeOperations.show, {});
      return seen[0]?.state === 'soaking';
    });
    await says('upgrade', 'set', '--soak', '1');
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 280_000 });
    assert.deepEqual(await placed(), ['by-hand 1', 'first 3', 'second 2', 'server-1 0']);
    const rows = await domain.sql`
      select name from component where host = 'berlin' and release = ${next.release} and stopped_at is null`;
    const names = rows.map(({ name }) => name);
    assert.ok(names.includes('second') && names.includes('by-hand'), String(names));
  });

  test('reversed, all are home, and the instance that was added by hand stays in the release before', async () => {
    await says('upgrade', 'reverse');
    await untilUpgrade(domain, ['reversed'], { timeoutMs: 280_000 });
    assert.deepEqual(await placed(), ['by-hand 0', 'server-1 6']);
    await until('it runs the release before', 120_000, async () => {
      const rows = await domain.sql`
        select 1 from component where name = 'by-hand' and release = ${own.release} and stopped_at is null`;
      return rows.length === 1;
    });
    await assertNothingLost(domain, fleet);
    assert.deepEqual(failuresIn((await readEvidence(fleet)).journal), [], 'no request of a device failed');
  });
});
