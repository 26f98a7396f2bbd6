/**
 * The original’s repetition, as two hosts have it when nothing else is said: one instance is added, the first old one is upgraded in
 * place once it is empty and takes the accounts of the second; it can be gone back on until it is finalized, and leaves as many
 * instances as it found, on each host.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, workingTreeArchive } from '../harness/archives.ts';
import { emptyDatabase, type OverTwoHosts, startOverTwoHosts, untilLinked } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, readEvidence } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { type FurtherHost, takeOver } from '../harness/further-host.ts';
import { accountsAt } from '../harness/scene.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';

const fleetOptions = { devices: 6, accounts: 6, seed: 'hosts-reuse', interval: '500ms' };
const externalDatabase = await emptyDatabase();

describe('a phased upgrade over two hosts with instances on both', { timeout: 900_000 }, () => {
  let at: OverTwoHosts;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let berlin: FurtherHost;
  let own: BuiltArchive;
  let next: BuiltArchive;
  let homes: unknown;

  before(async () => {
    own = await workingTreeArchive();
    next = await nextArchive();
    at = await startOverTwoHosts({
      ...{ externalDatabase, fleet: fleetOptions },
      prepare: async (domain) => {
        for (const words of [
          ['instance', 'add', 'server-2'],
          ['connection-service', 'add', 'mds-berlin', '--instances', 'server-2'],
        ]) {
          const { code, stderr } = await domain.command(...words, '--host', 'berlin');
          assert.equal(code, 0, stderr);
        }
        await untilLinked(domain, 'server-2', 'mds-berlin');
      },
    });
    ({ domain, fleet, berlin } = at);
    homes = await readHomes();
  });
  after(async () => await at?.stop());

  async function readHomes(): Promise<unknown> {
    return await domain.sql`
      select a.name, i.name as instance from account a join instance i on i.id = a.instance_id order by a.name`;
  }

  /** `server-2 on berlin, 1.4.0: 3` for each instance that is not retired. */
  async function instances(): Promise<string[]> {
    const rows = await domain.sql<{ text: string }[]>`
      select i.name || ' on ' || case c.host when 'berlin' then c.host else 'first' end || ', ' || c.release || ': ' || count(a.id) as text
        from instance i join component c on c.name = i.name and c.stopped_at is null left join account a on a.instance_id = i.id
       where i.retired_at is null group by i.name, c.host, c.release order by i.name`;
    return rows.map(({ text }) => text);
  }

  /** With the name that the new instance was given. */
  function reused(text: readonly string[]): string[] {
    return text.map((line) => line.replace(/^server-1-\d+-\d+(-b)? /, 'new ')).sort();
  }

  async function upgradeUntilSoaking(): Promise<void> {
    // All of the first instance are canaries: one wave for each instance.
    const canaries = await accountsAt(domain, 'server-1');
    await startUpgrade(domain, next, { canaries, soakSeconds: 1, gate: openGate });
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 400_000 });
    assert.deepEqual(reused(await instances()), [
      `new on berlin, ${next.release}: 3`,
      `server-1 on first, ${next.release}: 3`,
      `server-2 on berlin, ${own.release}: 0`,
    ]);
  }

  test('the plan says which instance is reused, which stands by, and what that costs', async () => {
    const { code, stdout, stderr } = await domain.command('upgrade', 'plan', '--archive', next.file, '--preview');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /server-1-\d+-\d+ for server-1 on berlin, with .*: 3 accounts/);
    assert.match(stdout, /server-1 for server-2 on .*, once it is empty: 3 accounts/);
    assert.match(stdout, /Reversing stays possible until finalizing: server-2, emptied last, runs/);
    assert.match(stdout, /When finalizing, server-2 is stopped and retired: there are as many instances as before/);
  });

  test('reversed, each account is where it was, and each instance of the release before', async () => {
    await upgradeUntilSoaking();
    const early = await domain.command('instance', 'retire', 'server-2', '--yes');
    assert.match(early.stderr, /cannot be retired: the open upgrade needs it in case it is reversed/);
    await domain.api.call(upgradeOperations.reverse, {});
    await untilUpgrade(domain, ['reversed'], { timeoutMs: 400_000 });
    assert.deepEqual(await readHomes(), homes);
    assert.deepEqual(await instances(), [
      `server-1 on first, ${own.release}: 3`,
      `server-2 on berlin, ${own.release}: 3`,
    ]);
  });

  test('finalized, there are as many instances as before, one on each host, and no request failed', async () => {
    await upgradeUntilSoaking();
    await domain.api.call(upgradeOperations.finalize, {});
    await until('it waits for both supervisors', 120_000, async () => {
      const { waitingFor } = await domain.api.call(upgradeOperations.show, {});
      return waitingFor !== null && /berlin/.test(JSON.stringify(waitingFor));
    });
    for (const host of [domain, berlin]) await takeOver(host, next.release);
    await untilUpgrade(domain, ['done'], { timeoutMs: 280_000 });
    assert.deepEqual(reused(await instances()), [
      `new on berlin, ${next.release}: 3`,
      `server-1 on first, ${next.release}: 3`,
    ]);
    await assertNothingLost(domain, fleet);
    assert.deepEqual(failuresIn((await readEvidence(fleet)).journal), [], 'no request of a device failed');
  });
});
