/** Where routers are dialled: 1.3 goes on reading its setting beside the table, until no component of it is left. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { hasTable } from '../../src/database/has-table.ts';
import { migrate } from '../../src/database/migrate.ts';
import { sqlState } from '../../src/database/sql-state.ts';
import { seedDomain } from '../../src/devices/device-fixture.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { listRouterAddresses } from '../../src/routers/router-addresses.ts';

const applicationName = 'bramble/test';
const step = { folder: migrationFolder(), release: '1.4.0', applicationName };
const address = { host: 'mdm.example.org', port: 3101, serverName: 'router.bramble.internal' };
const lastOf13 = 23;

async function domainOf13() {
  const { url } = await createEarlierTestDatabase(lastOf13);
  const db = openDatabase(url, { applicationName });
  after(async () => await db.end({ timeout: 5 }));
  await seedDomain(db);
  return {
    ...{ url, db },
    /** As 1.3.0 writes it when it creates a domain. */
    writeSetting: () => db`
      insert into setting (key, value) values ('routers', ${db.json({ addresses: [address] })})
      on conflict (key) do update set value = excluded.value, updated_at = now()`,
    /** As 1.3.0 reads it for each credential. */
    readSetting: async () =>
      (await db<{ value: unknown }[]>`select value from setting where key = 'routers'`)[0]?.value,
  };
}

test('the table has what the setting has while 1.3 reads that, and alone from the contraction on', async () => {
  const { url, db, writeSetting, readSetting } = await domainOf13();
  await writeSetting();
  await db`
    insert into desired_process (name, kind, host, release, state, settings)
    values ('router-1', 'router', 'here', '1.3.0', 'running', '{}'), ('server-1', 'server', 'here', '1.3.0', 'running', '{}')`;
  await migrate(url, { ...step, contract: false });
  assert.deepEqual([...(await listRouterAddresses(db))], [address]);
  assert.deepEqual(await readSetting(), { addresses: [address] });
  const [row] = await db`select name, host, link_port, public_port, removed_at from router`;
  assert.deepEqual(row, { name: 'router-1', host: 'here', link_port: null, public_port: null, removed_at: null });

  await migrate(url, { ...step, contract: true });
  assert.equal(await readSetting(), undefined);
  assert.deepEqual([...(await listRouterAddresses(db))], [address]);
  await assert.rejects(writeSetting(), (error) => sqlState(error) === '23514');
  await db`insert into setting (key, value) values ('another', '{}')`;
});

test('as long as there is an address too many, or a router, the expansion is refused and changes nothing', async () => {
  const { url, db, writeSetting, readSetting } = await domainOf13();
  const expand = () => migrate(url, { ...step, contract: false });
  const addRouter = (name: string) => db`
    insert into desired_process (name, kind, host, release, state, settings)
    values (${name}, 'router', 'here', '1.3.0', 'running', '{}')`;
  await writeSetting();
  await assert.rejects(expand(), /has 0 routers, and 1 addresses in the setting "routers"/);
  await addRouter('router-1');
  await addRouter('router-2');
  await assert.rejects(expand(), /has 2 routers, and 1 addresses in the setting "routers"/);
  assert.equal(await hasTable(db, 'router'), false);
  assert.deepEqual(await readSetting(), { addresses: [address] });
  await db`delete from desired_process where name = 'router-2'`;
  await expand();
  assert.deepEqual([...(await listRouterAddresses(db))], [address]);
});

test('a domain that was made without the setting has an empty table, and loses nothing', async () => {
  const { url, db, readSetting } = await domainOf13();
  await db`
    insert into desired_process (name, kind, host, release, state, settings)
    values ('router-1', 'router', 'here', '1.3.0', 'running', '{}')`;
  await migrate(url, { ...step, contract: false });
  assert.deepEqual([...(await listRouterAddresses(db))], []);
  await migrate(url, { ...step, contract: true });
  assert.equal(await readSetting(), undefined);
});
