/** A copy on which a release is tried reaches no router of the domain, whatever schema it has and is brought to. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createEarlierTestDatabase, createTestDatabase } from '../database/database-fixture.ts';
import { migrate } from '../database/migrate.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { migrationFolder } from '../release/program.ts';
import { listRouterAddresses } from '../routers/router-addresses.ts';
import { isolateCopy } from './isolated-copy.ts';

const home = await mkdtemp(join(tmpdir(), 'isolated-copy-'));
after(async () => await rm(home, { recursive: true, force: true }));
const nobody = { host: '127.0.0.1', port: 1, serverName: 'router.bramble.internal' };
const lastOf13 = 23;

async function open({ url }: { url: string }) {
  const db = openDatabase(url, { applicationName: 'bramble/test' });
  after(async () => await db.end({ timeout: 5 }));
  await seedDomain(db);
  return db;
}

test('of a domain of this release, routers on every host are forgotten', async () => {
  const db = await open(await createTestDatabase());
  await db`
    insert into router (name, host, link_host, link_port, server_name, srp_port)
    values ('router-1', 'here', 'mdm.example.org', null, 'x', 3101), ('router-2', 'berlin', '10.0.0.5', 4101, 'x', 3101)`;
  await isolateCopy(db, home);
  assert.deepEqual([...(await listRouterAddresses(db))], [nobody, nobody]);
});

test('of a domain of this release, no OpenID provider is left that could be asked', async () => {
  const db = await open(await createTestDatabase());
  await db`
    insert into openid_provider (name, title, issuer, client_id, scopes, name_claim, claim, rules, created_by)
    values ('staff', 'Staff', 'https://id.example.org', 'x', '{}', 'name', 'groups', '[]', 'test')`;
  await isolateCopy(db, home);
  assert.equal((await db`select from openid_provider`).length, 0);
});

test('of a domain of 1.3 they are forgotten where 1.3 reads them, and the expansion finds no other', async () => {
  const { url } = await createEarlierTestDatabase(lastOf13);
  const db = await open({ url });
  const address = { host: 'mdm.example.org', port: 3101, serverName: 'x' };
  await db`insert into setting (key, value) values ('routers', ${db.json({ addresses: [address, address] })})`;
  await db`
    insert into desired_process (name, kind, host, release, state, settings)
    values ('router-1', 'router', 'here', '1.3.0', 'running', '{}'), ('router-2', 'router', 'here', '1.3.0', 'running', '{}')`;
  await isolateCopy(db, home);
  const [setting] = await db`select value from setting where key = 'routers'`;
  assert.deepEqual(setting?.['value'], { addresses: [nobody, nobody] });
  const step = { folder: migrationFolder(), release: '1.4.0', applicationName: 'bramble/test' };
  await migrate(url, { ...step, contract: false });
  assert.deepEqual([...(await listRouterAddresses(db))], [nobody, nobody]);
});
