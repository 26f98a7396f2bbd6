/** An administration service whose host is away for the whole upgrade is left to that host's supervisor, and not stopped for good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { forgetComponent } from '../../registry/components.ts';
import { finalizeByOperator } from '../operations/operator-actions.ts';
import { listUpgradeEvents } from '../state/upgrade-store.ts';
import { insertTestProcess } from './domain-fixture.ts';
import { operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 120_000 };

/** Soaking, with an administration service on a host that has not been heard of for an hour. */
async function soakingWithout(toRelease: string, options: object = {}) {
  const it = await scene(options, toRelease);
  await insertTestProcess(it.db, { name: 'far-admin', kind: 'administration', release: '1.0.0', host: 'far' });
  await it.db`
    insert into supervisor (host, release, process_id, node_version, postgres_server, seen_at)
    values ('far', '1.0.0', 2, 'v26.0.0', '18.4', now() - interval '1 hour')`;
  const context = it.context('one');
  await until(it, context, ['soaking']);
  assert.equal((await wanted(it))?.['state'], 'stopped');
  await it.db.begin((tx) => finalizeByOperator(tx, operator));
  return { it, context };
}

async function wanted({ db }: Scene) {
  const [row] = await db`select release, state from desired_process where name = 'far-admin'`;
  return row && { ...row };
}

async function assertLeft(it: Scene, release: string): Promise<void> {
  assert.deepEqual(await wanted(it), { release, state: 'running' });
  const said = (await listUpgradeEvents(it.db, (await it.upgrade()).id)).map(({ message }) => message);
  assert.ok(said.includes(`administration services of ${release} start as soon as their hosts can: far-admin`));
}

test(
  'one that was forgotten so that the level could be raised is wanted again, of the new release',
  limited,
  async () => {
    const { it, context } = await soakingWithout('1.1.0');
    for (let round = 0; round < 30; round++) {
      await stepOnce(context);
      await it.world();
    }
    assert.match(
      (await it.upgrade()).progress.waitingFor ?? '',
      /components of an earlier release: far-admin .*forget/,
    );
    assert.equal((await wanted(it))?.['state'], 'stopped');
    assert.equal(await forgetComponent(it.db, 'far-admin'), 'forgotten');
    await until(it, context, ['done']);
    await assertLeft(it, '1.1.0');
  },
);

test('a patch, which waits for no component, leaves one running', limited, async () => {
  const { it, context } = await soakingWithout('1.0.1', { inPlace: false });
  await until(it, context, ['done']);
  await assertLeft(it, '1.0.1');
});
