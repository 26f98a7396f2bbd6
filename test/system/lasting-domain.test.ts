/** A domain that lasts: an instance that is stopped, and everything killed at once. Devices come again and nothing is lost. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../src/base/test-condition.ts';
import { exitWithin } from '../../src/base/test-process.ts';
import { isAlive } from '../../src/database/embedded/process-facts.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence, untilDrained, untilServed } from '../harness/evidence.ts';
import { type RunningFleet, startFleet } from '../harness/fleet.ts';
import { configureDomain, demoBudget } from '../harness/preparation.ts';
import { durableDatabase, postmasterId, signal } from '../harness/processes.ts';
import { type Sampler, startSampler } from '../harness/sampler.ts';
import { accountsAt, activeDevices, commandJson, queue } from '../harness/scene.ts';

describe('a lasting domain', () => {
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let sampler: Sampler;
  const enqueued: string[] = [];

  before(async () => {
    const { file } = await workingTreeArchive();
    domain = await startDomain({ archive: file, instances: 2, databaseSettings: durableDatabase });
    await configureDomain(domain, '127.0.0.1:9');
    sampler = startSampler(domain.sql, demoBudget);
    fleet = await startFleet(domain, {
      devices: 16,
      accounts: 10,
      seed: 'lasting-domain',
      interval: '500ms',
      journal: join(domain.home, 'journal.ndjson'),
    });
    await untilDrained(domain);
  });
  after(async () => {
    await fleet?.stop();
    await sampler?.stop();
    await domain?.stop();
  });

  test('an instance that is stopped for a while: its devices get 503 and nothing worse, and are served afterwards', async () => {
    const [own, others] = [await accountsAt(domain, 'server-1'), await accountsAt(domain, 'server-2')];
    const stopped = await signal(domain, 'server-1', 'SIGSTOP');
    const from = performance.timeOrigin + performance.now();
    try {
      await until('a device of the stopped instance gets 503', 60_000, async () => {
        const { journal } = await readEvidence(fleet);
        return journal.some(
          (entry) =>
            entry.event === 'request' && entry.at > from && own.includes(entry.account) && entry.httpStatus === 503,
        );
      });
      await until('the devices of the other instance are served meanwhile', 30_000, async () => {
        const { journal } = await readEvidence(fleet);
        const served = journal.filter((entry) => entry.event === 'request' && entry.at > from && entry.ok);
        return others.every((account) => served.some((entry) => entry.account === account));
      });
    } finally {
      // It may be gone: the supervisor replaces what has been silent for half a minute.
      if (await isAlive(stopped)) process.kill(stopped, 'SIGCONT');
    }
    await untilServed(domain, fleet);
    const { journal } = await readEvidence(fleet);
    const statuses = journal
      .filter((entry) => entry.event === 'request' && entry.at > from && own.includes(entry.account))
      .map((entry) => (entry.event === 'request' ? entry.httpStatus : undefined));
    const worse = statuses.filter((status) => status !== undefined && ![200, 503].includes(status));
    assert.deepEqual(worse, []);
  });

  test('everything is killed at once, in the midst of moves and commands; started again it goes on', async () => {
    const accounts = await accountsAt(domain, 'server-1');
    const devices = await activeDevices(domain, accounts);
    await fleet.tell({ do: 'vanish', devices: 2, moment: 'with-command' });
    for (const device of devices) enqueued.push(await queue(domain, device.id));
    const { batch } = await commandJson<{ batch: string }>(
      domain,
      'move',
      'start',
      '--from',
      'server-1',
      '--to',
      'server-2',
    );
    await until('an account has moved', 30_000, async () => {
      const [row] = await domain.sql`select 1 from account_move where batch_id = ${batch} and committed_at is not null`;
      return row !== undefined;
    });
    const components = await domain.sql<{ id: number }[]>`
      select process_id as id from component where stopped_at is null and lease_until > clock_timestamp()`;
    const all = [domain.supervisor.pid ?? 0, await postmasterId(domain), ...components.map(({ id }) => id)];
    assert(all.length >= 7 && all.every((id) => id > 1));
    for (const id of all) process.kill(id, 'SIGKILL');
    await exitWithin(domain.supervisor, 90_000, 'the supervisor');

    await domain.startSupervisor();
    await fleet.tell({ do: 'come-back' });
    await untilServed(domain, fleet);
    await until('the moves are done', 60_000, async () => {
      const [row] = await domain.sql`select state from move_batch where id = ${batch}`;
      return row?.['state'] === 'done';
    });
    assert.deepEqual(await accountsAt(domain, 'server-1'), []);
  });

  test('nothing was lost or done twice, and the budget was never overdrawn', async () => {
    await assertNothingLost(domain, fleet, { samples: sampler.samples, enqueued });
  });
});
