/** An instance that is stopped, and everything killed at once: devices are served afterwards, and the work goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAlive } from '../../../src/base/process-facts.ts';
import { until } from '../../../src/testing/condition.ts';
import { exitWithin } from '../../../src/testing/process.ts';
import { readEvidence, untilServed } from '../../harness/evidence.ts';
import { postmasterId, signal } from '../../harness/processes.ts';
import { accountsAt, activeDevices, commandJson, queue } from '../../harness/scene.ts';
import type { LastingDomain } from './stage.ts';

export function describeAbsence(stage: LastingDomain): void {
  test('an instance that is stopped for a while: its devices get 503 and nothing worse, and are served afterwards', async () => {
    const [own, others] = [await accountsAt(stage.domain, 'server-2'), await accountsAt(stage.domain, 'server-1')];
    assert(own.length > 0 && others.length > 0);
    const stopped = await signal(stage.domain, 'server-2', 'SIGSTOP');
    const from = performance.timeOrigin + performance.now();
    try {
      await until('a device of the stopped instance gets 503', 60_000, async () => {
        const { journal } = await readEvidence(stage.fleet);
        return journal.some(
          (entry) =>
            entry.event === 'request' && entry.at > from && own.includes(entry.account) && entry.httpStatus === 503,
        );
      });
      await until('the devices of the other instance are served meanwhile', 30_000, async () => {
        const { journal } = await readEvidence(stage.fleet);
        const served = journal.filter((entry) => entry.event === 'request' && entry.at > from && entry.ok);
        return others.every((account) => served.some((entry) => entry.account === account));
      });
    } finally {
      // It may be gone: the supervisor replaces what has been silent for half a minute.
      if (await isAlive(stopped)) process.kill(stopped, 'SIGCONT');
    }
    await untilServed(stage.domain, stage.fleet);
    const { journal } = await readEvidence(stage.fleet);
    const statuses = journal
      .filter((entry) => entry.event === 'request' && entry.at > from && own.includes(entry.account))
      .map((entry) => (entry.event === 'request' ? entry.httpStatus : undefined));
    const worse = statuses.filter((status) => status !== undefined && ![200, 503].includes(status));
    assert.deepEqual(worse, []);
  });

  test('everything is killed at once, in the midst of moves and commands; started again it goes on', async () => {
    const accounts = await accountsAt(stage.domain, 'server-2');
    const devices = await activeDevices(stage.domain, accounts);
    await stage.fleet.tell({ do: 'vanish', devices: 2, moment: 'with-command' });
    for (const device of devices) stage.enqueued.push(await queue(stage.domain, device.id));
    const { batch } = await commandJson<{ batch: string }>(
      stage.domain,
      'move',
      'start',
      '--from',
      'server-2',
      '--to',
      'server-1',
    );
    await until('an account has moved', 30_000, async () => {
      const [row] = await stage.domain
        .sql`select 1 from account_move where batch_id = ${batch} and committed_at is not null`;
      return row !== undefined;
    });
    const components = await stage.domain.sql<{ id: number }[]>`
      select process_id as id from component where stopped_at is null and lease_until > clock_timestamp()`;
    const all = [stage.domain.supervisor.pid ?? 0, await postmasterId(stage.domain), ...components.map(({ id }) => id)];
    assert(all.length >= 7 && all.every((id) => id > 1));
    for (const id of all) process.kill(id, 'SIGKILL');
    await exitWithin(stage.domain.supervisor, 90_000, 'the supervisor');

    await stage.domain.startSupervisor();
    await stage.fleet.tell({ do: 'come-back' });
    await untilServed(stage.domain, stage.fleet);
    await until('the moves are done', 60_000, async () => {
      const [row] = await stage.domain.sql`select state from move_batch where id = ${batch}`;
      return row?.['state'] === 'done';
    });
    assert.deepEqual(await accountsAt(stage.domain, 'server-2'), []);
  });
}
