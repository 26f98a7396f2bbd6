/** Administration services are removed, but never the last one, nor the last one at work: nobody could add another. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { administrationServiceOperations } from '../../api/administration-services.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { setDesiredProcess } from '../../registry/desired-processes.ts';
import { startAdministration } from './administration-fixture.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
const { db, context } = admin;
after(() => admin.close());

const names = ['admin-1', 'admin-2'];
async function place(): Promise<void> {
  await db`delete from desired_process where kind = 'administration'`;
  for (const name of names) {
    await setDesiredProcess(db, {
      ...{ name, kind: 'administration', host: 'test-host', release: context.release, state: 'running', settings: {} },
    });
  }
}

const remove = (name: string) => clientOf(admin).call(administrationServiceOperations.remove, { params: { name } });

test('two that are removed at once are not both removed', limited, async () => {
  for (let round = 0; round < 10; round++) {
    await place();
    const removed = await Promise.allSettled(names.map(remove));
    assert.deepEqual(removed.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.equal((await db`select from desired_process where kind = 'administration'`).length, 1);
  }
});

test('none is added while an upgrade stops them all, which would leave it at the former release', limited, async () => {
  await place();
  const add = () => clientOf(admin).call(administrationServiceOperations.add, { body: { name: 'admin-3' } });
  await db`
    insert into upgrade (id, from_release, to_release, state, plan, progress)
    values (gen_random_uuid(), '1.2.0', '1.3.0', 'checked', '{"options": {}}', '{"started": true, "administrations": []}')`;
  await assert.rejects(add(), { code: 'ERR_CONFLICT' });
  await db`update upgrade set state = 'admin-upgraded', progress = progress || '{"administrationsStarted": true}'`;
  await add();
});
