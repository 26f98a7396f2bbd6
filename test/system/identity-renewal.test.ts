/**
 * A year later: the identities of a whole fleet are about to end, or have ended. It renews them while its devices are at work,
 * its policy changes, its accounts move, devices misbehave and an instance is killed. The year passes in the rows.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { itPolicyOperations } from '../../src/api/it-policies.ts';
import { moveOperations } from '../../src/api/moves.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type AtWork, startAtWork } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, readEvidence, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { killAndAwait } from '../harness/processes.ts';
import { accountsAt, activeDevices, queue } from '../harness/scene.ts';

const fleetOptions = { devices: 24, accounts: 12, seed: 'renewal', interval: '1500ms' };
const limited = { timeout: 600_000 };
/** A quarter of it is what renewals take. */
const budget = {
  ...{ perInstance: 24, perDomain: 48, suspects: 24, perMinuteInstance: 600, perMinuteDomain: 1200 },
  suspectAfterSeconds: 5,
};

describe('a fleet whose identities end', () => {
  let at: AtWork;
  let domain: RunningDomain;
  let fleet: RunningFleet;

  before(async () => {
    at = await startAtWork({
      ...{ fleet: { ...fleetOptions, args: ['--not-now', '0.05'] }, budget },
      prepare: async ({ sql }) => {
        await sql`
          insert into setting (key, value)
          values ('device-identity', ${sql.json({ renewAgainSeconds: 1, renewAgainAtMostSeconds: 2 })})`;
      },
    });
    ({ domain, fleet } = at);
  });
  after(async () => await at?.stop());

  /** As if the devices had been certified so much earlier; every other one some weeks before the rest. */
  async function yearPasses(): Promise<void> {
    await domain.sql`
      with aged as (select id, case when row_number() over (order by id) % 2 = 0 then 335 else 372 end as days
                      from device where state = 'active')
      update device d set identity_issued_at = identity_issued_at - make_interval(days => days),
             identity_expires_at = identity_expires_at - make_interval(days => days)
        from aged where aged.id = d.id`;
  }

  async function untilRenewed(): Promise<void> {
    let seen: unknown;
    await until('every device uses a new identity', 300_000, async () => {
      // With nothing open the next try would wait for the quiet turn of the policy service.
      await domain.sql`select pg_notify('bramble_delivery', '')`;
      const [row] = await domain.sql<{ old: number; unused: number }[]>`
        select count(*) filter (where d.identity_expires_at < now() + interval '300 days')::int as old,
               count(r.identity_fingerprint)::int as unused
          from device d left join device_renewal r on r.device_id = d.id where d.state = 'active'`;
      seen = row;
      return row?.old === 0 && row.unused === 0;
    }).catch(async (error: unknown) => {
      const reasons = await domain.sql`
        select state, failure, count(*)::int from delivery where item = 'device-identity' group by 1, 2`;
      throw new Error(`${String(error)}; ${JSON.stringify([seen, reasons])}`, { cause: error });
    });
  }

  async function fingerprints(): Promise<Set<string>> {
    const rows = await domain.sql<{ fingerprint: string }[]>`
      select identity_fingerprint as fingerprint from device where state = 'active'`;
    return new Set(rows.map(({ fingerprint }) => fingerprint));
  }

  test('renews them all while it is at work and moves, and no request fails', limited, async () => {
    const before = await fingerprints();
    const [moving, staying] = [await accountsAt(domain, 'server-1'), await accountsAt(domain, 'server-2')];
    await yearPasses();
    const rules = { passwordRequired: true, passwordMinimumLength: 9 };
    await domain.api.call(itPolicyOperations.replaceRules, { params: { name: 'Default' }, body: { rules } });
    await domain.api.call(moveOperations.start, { body: { to: 'server-2', accounts: moving.slice(0, 3) } });
    const devices = await activeDevices(domain, [...moving, ...staying]);
    const enqueued = await Promise.all(devices.map(({ id }) => queue(domain, id)));
    await domain.api.call(moveOperations.start, { body: { to: 'server-1', accounts: staying.slice(0, 3) } });
    await untilRenewed();
    await untilServed(domain, fleet);
    const { journal } = await assertNothingLost(domain, fleet, { enqueued });
    assert.deepEqual(failuresIn(journal), []);
    const renewed = journal.filter((entry) => entry.event === 'identity-renewed');
    assert.equal(renewed.length, devices.length, 'each device renewed once');
    assert.equal([...(await fingerprints())].filter((fingerprint) => before.has(fingerprint)).length, 0);
    // Some of them sent Authenticate and TokenUpdate with their new identity.
    const authenticated = journal.filter((entry) => entry.event === 'request' && entry.request === 'authenticate');
    assert(authenticated.length > devices.length);
    const deliveries = await domain.sql<{ item: string; state: string; count: number }[]>`
      select item, state, count(*)::int from delivery where item in ('it-policy', 'device-identity') group by 1, 2 order by 1, 2`;
    assert.deepEqual(
      deliveries.filter(({ state }) => state !== 'done'),
      [],
    );
    assert.equal(deliveries.find(({ item }) => item === 'device-identity')?.count, devices.length);
  });

  test(
    'renews them in spite of devices that refuse, forget and die, and of an instance that is killed',
    limited,
    async () => {
      await fleet.tell({
        do: 'behave',
        ...{ renewalErrorProbability: 0.2, renewalIgnoredProbability: 0.2, renewalCrashProbability: 0.3 },
        ...{ lostReplyProbability: 0.05, notNowProbability: 0.1 },
      });
      await yearPasses();
      await until('some have renewed', 120_000, async () => {
        const [row] =
          await domain.sql`select count(*)::int as count from device where identity_expires_at > now() + interval '300 days'`;
        return row?.['count'] > 2;
      });
      await killAndAwait(domain, 'server-1');
      await untilRenewed();
      await fleet.tell({ do: 'behave', lostReplyProbability: 0 });
      await untilServed(domain, fleet);
      await assertNothingLost(domain, fleet);
      const { journal } = await readEvidence(fleet);
      const requests = summarizeRequests(journal);
      assert.deepEqual(requests.lostDevices, []);
      const [tries] = await domain.sql<{ tries: number; failed: number }[]>`
      select count(*)::int as tries, count(*) filter (where state = 'failed')::int as failed from delivery where item = 'device-identity'`;
      assert((tries?.failed ?? 0) > 0 && (tries?.tries ?? 0) > 2 * fleetOptions.devices, JSON.stringify(tries));
    },
  );
});
