/** A host is removed, or something is placed on it: never both. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { administrationServiceOperations } from '../../api/administration-services.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { hostOperations } from '../../api/hosts.ts';
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
