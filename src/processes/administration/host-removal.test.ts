/** A host is removed, or something is placed on it, by an administrator or by an upgrade: never both. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { administrationServiceOperations } from '../../api/administration-services.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { hostOperations } from '../../api/hosts.ts';
import { untilOneWaits, watched } from '../../database/waiting-fixture.ts';
import { setDesiredProcess } from '../../registry/desired-processes.ts';
import { lockOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
const { db } = admin;
after(() => admin.close());

test('what is placed on a host while that is removed keeps it, or is refused', { timeout: 60_000 }, async () => {
  const client = clientOf(admin);
  for (let round = 0; round < 20; round++) {
    const [host, name] = [`host-${round}`, `admin-${round}`];
    await db`insert into host (name, public_key, administers) values (${host}, '\\x00', true)`;
    const done = await Promise.allSettled([
      client.call(administrationServiceOperations.add, { body: { name, host } }),
      client.call(hostOperations.remove, { params: { name: host } }),
    ]);
    assert.deepEqual(done.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], `round ${round}`);
    const [left] = await db<{ hosts: number; processes: number }[]>`
      select (select count(*)::int from host where name = ${host}) as hosts,
             (select count(*)::int from desired_process p where p.host = ${host}) as processes`;
    assert.equal(left?.hosts, left?.processes);
  }
});

test('a host stays on which an upgrade places an instance at that moment', { timeout: 60_000 }, async () => {
  await db`insert into host (name, public_key, administers) values ('berlin', '\\x00', true)`;
  await db`
    insert into upgrade (id, from_release, to_release, state, plan)
    values (gen_random_uuid(), '1.2.0', '1.3.0', 'expanded', '{"options": {}}')`;
  const removal = await db.begin(async (tx) => {
    await lockOpenUpgrade(tx);
    const { result, settled } = watched(clientOf(admin).call(hostOperations.remove, { params: { name: 'berlin' } }));
    const refused = assert.rejects(result, { code: 'ERR_HOST_IN_USE' });
    assert.ok(await untilOneWaits(db, settled), 'it is removed once the upgrade is not at work');
    await setDesiredProcess(tx, {
      ...{ name: 'new', kind: 'server', host: 'berlin', release: '1.3.0', state: 'running', settings: {} },
    });
    return { refused };
  });
  await removal.refused;
});
