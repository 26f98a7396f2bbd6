/** Roles of a domain on an external PostgreSQL, from the script for its administrator to the processes' credentials. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { readRoleCredentials, urlForRole } from '../database/roles/role-credentials.ts';
import { ownFeatures } from '../registry/own-release.ts';
import { thisRelease } from '../release/this-release.ts';
import { createDomain } from './create-domain.ts';
import { findRoleFaults, rolesScript, rolesState, useRoles } from './database-roles.ts';

const limited = { timeout: 120_000 };
const sqlFolder = fileURLToPath(new URL('../../sql', import.meta.url));

/** A domain in which every process has one role; here that is the superuser. */
async function externalDomain(t: TestContext) {
  const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  const db = openDatabase(url, { applicationName: 'test', max: 1 });
  t.after(async () => {
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  await mkdir(home, { recursive: true });
  const configuration = { database: { url }, host: 'host-1', publicPort: 8443, srpPort: 3101 };
  await writeFile(join(home, 'config.json'), JSON.stringify(configuration));
  await createDomain({
    ...{ home, databaseUrl: url, sqlFolder, release: thisRelease.release, name: 'Example', host: 'host-1' },
    ...{ publicHost: 'mdm.example.org', publicPort: 8443, srpPort: 3101, tunnelHost: 'tunnel.example.org' },
    ...{ wakeChannel: 'com.apple.mgmt.External.example', instances: 1, administrationServices: 1 },
    databaseRoles: false,
  });
  return { home, db, url };
}

test(
  'the script of the database’s administrator makes roles that pass the check and are taken into use',
  limited,
  async (t) => {
    const { home, db, url } = await externalDomain(t);
    assert.deepEqual(await rolesState(home), { state: 'single' });
    const script = await rolesScript(home);
    assert.deepEqual(await rolesState(home), { state: 'prepared' });
    for (const { password } of (await readRoleCredentials(home, 'prepared')).values()) {
      assert(!script.includes(password), 'the script shows a password');
    }
    await assert.rejects(useRoles(home, ownFeatures), (error: BrambleError) => {
      assert.equal(error.code, 'ERR_DATABASE_ROLE');
      assert.match(
        error.message,
        /^[^.]*\. Execute what `bramble database roles --sql` prints, .* And \d+ more: .*--check/,
      );
      assert.ok(error.message.length < 600, error.message);
      return true;
    });
    assert.deepEqual(await rolesState(home), { state: 'prepared' });

    await db.unsafe(script);
    assert.deepEqual(await findRoleFaults(home), []);
    await useRoles(home, ownFeatures);
    assert.deepEqual(await rolesState(home), { state: 'separate' });
    const server = openDatabase(urlForRole(url, (await readRoleCredentials(home)).get('server')), {
      applicationName: 'test',
      max: 1,
    });
    assert.equal((await server`select 1 from account`).length, 0);
    await server.end();
  },
);

test('the script mends what was changed, and the check names it', limited, async (t) => {
  const { home, db } = await externalDomain(t);
  await db.unsafe(await rolesScript(home));
  await useRoles(home, ownFeatures);
  const [row] = await db`select current_database() as name`;
  const server = `"${row?.['name']}_server"`;
  const connection = `"${row?.['name']}_connection"`;
  await db.unsafe(
    `alter role ${server} superuser; grant delete on event to ${server}; revoke insert on event from ${server}`,
  );
  await db.unsafe(`grant pg_read_all_data to ${server}; alter table event owner to current_user`);
  await db.unsafe(
    `grant execute on function pg_advisory_lock(bigint) to public; revoke execute on function pg_advisory_xact_lock(integer, integer) from ${connection}`,
  );
  await db.unsafe(
    `grant temporary on database "${row?.['name']}" to public; grant execute on function lo_create(oid) to public`,
  );
  const faults = (await findRoleFaults(home)).join('\n');
  for (const fault of [
    'is a superuser',
    'may delete on event',
    'may not insert on event',
    'pg_read_all_data',
    'belongs to',
    'Everybody may take advisory locks',
    'Everybody may make temporary tables',
    'Everybody may make large objects',
    '_connection may not take advisory locks',
  ]) {
    assert(faults.includes(fault), `${fault} is not in: ${faults}`);
  }
  await db.unsafe(`revoke pg_read_all_data from ${server}`);
  await db.unsafe(await rolesScript(home));
  assert.deepEqual(await findRoleFaults(home), []);
});

test('what a lost host has set for its roles ends with their passwords', limited, async (t) => {
  const { home, db, url } = await externalDomain(t);
  await db.unsafe(await rolesScript(home));
  await useRoles(home, ownFeatures);
  const lost = openDatabase(urlForRole(url, (await readRoleCredentials(home)).get('server')), {
    ...{ applicationName: 'test', max: 1 },
  });
  await lost.unsafe('alter role current_user set search_path = nowhere');
  const database = new URL(url).pathname.slice(1);
  await lost.unsafe(`alter role current_user in database "${database}" set default_transaction_read_only = on`);
  await lost.end();
  const faults = (await findRoleFaults(home)).join('\n');
  assert.match(faults, /_server has a setting of its own, search_path=nowhere/);
  assert.match(faults, /_server has a setting of its own, default_transaction_read_only=on/);
  await db.unsafe(await rolesScript(home, { renew: true }));
  assert.deepEqual(await findRoleFaults(home), []);
  await useRoles(home, ownFeatures);
  const server = openDatabase(urlForRole(url, (await readRoleCredentials(home)).get('server')), {
    ...{ applicationName: 'test', max: 1 },
  });
  assert.equal((await server`select 1 from account`).length, 0);
  await server.end();
});

test('before the upgrade is finalized no process is given a role', limited, async (t) => {
  const { home, db } = await externalDomain(t);
  await db.unsafe(await rolesScript(home));
  await db`update domain set feature_level = '1.1.0'`;
  await assert.rejects(useRoles(home, ownFeatures), { code: 'ERR_FEATURE_LOCKED' });
  assert.deepEqual(await rolesState(home), { state: 'prepared' });
});

test(
  'every role gets another password, which is used once the script was carried out, and the former ends',
  limited,
  async (t) => {
    const { home, db, url } = await externalDomain(t);
    await db.unsafe(await rolesScript(home));
    await useRoles(home, ownFeatures);
    const former = await readRoleCredentials(home);
    const script = await rolesScript(home, { renew: true });
    assert.deepEqual(await readRoleCredentials(home), former, 'until it is carried out processes use the former');
    await assert.rejects(useRoles(home, ownFeatures), { code: 'ERR_DATABASE_ROLE' });
    await db.unsafe(script);
    assert.deepEqual(await findRoleFaults(home), []);
    await useRoles(home, ownFeatures);
    const renewed = await readRoleCredentials(home);
    for (const [role, credential] of former) {
      assert.notEqual(renewed.get(role)?.password, credential.password);
      const lost = openDatabase(urlForRole(url, credential), { applicationName: 'test', max: 1 });
      await assert.rejects(lost`select 1`, { code: '28P01' });
      await lost.end();
    }
    await db.unsafe(await rolesScript(home));
    assert.deepEqual(await findRoleFaults(home), [], 'the script without it keeps them');
  },
);
