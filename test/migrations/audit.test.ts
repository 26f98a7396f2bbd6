/** The audit beside 1.1.0: its statements, as 1.1.0 sends them, work on the expanded schema and leave their traces. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createEarlierTestDatabase } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { insertDomain } from '../../src/domain/domain.ts';
import { migrationFolder } from '../../src/release/program.ts';

const administration = 'bramble/administration/administration-1@host#1';

/** As 1.1.0 sends them, from its administration service. */
const release11 = {
  createAccounts: `
    insert into account (id, name, display_name, instance_id)
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[])
    on conflict (name) do nothing
    returning id`,
  members: `
    insert into group_member (group_id, account_id) select * from unnest($1::uuid[], $2::uuid[]) on conflict do nothing`,
  setSetting: `
    insert into setting (key, value) values ($1, $2::jsonb)
    on conflict (key) do update set value = excluded.value, updated_at = now()`,
  activationPassword: `
    insert into activation_password (account_id, salt, digest, expires_at, tries_left)
    values ($1, '\\x00', '\\x01', now() + interval '1 hour', 5)`,
  deleteAccount: 'delete from account where name = $1 returning id',
} as const;

test('1.1 writes on the expanded schema as before; what it changes is recorded as done by nobody known', async () => {
  const database = await createEarlierTestDatabase(8);
  const db = openDatabase(database.url, { applicationName: administration, max: 2 });
  after(async () => await db.end({ timeout: 5 }));
  await insertDomain(db, {
    domainId: randomUUID(),
    name: 'test',
    publicUrl: 'https://localhost:1',
    tunnelHost: 'tunnel.localhost',
    wakeChannel: 'com.example.push',
    release: '1.1.0',
    schemaVersion: 7,
  });
  const [instance, group] = [randomUUID(), randomUUID()];
  await db`insert into instance (id, name, srp_identifier) values (${instance}, 'east', 'S10000001')`;
  await db`insert into account_group (id, name, rank) values (${group}, 'sales', 1)`;
  const expand = { folder: migrationFolder(), release: '1.2.0', contract: false, applicationName: 'bramble/test' };
  await migrate(database.url, expand);
  const [begins] = await db`select kind, operation, detail from audit_record`;
  assert.deepEqual({ ...begins }, { kind: 'marker', operation: 'audit begins', detail: { release: '1.1.0' } });

  const ids = Array.from({ length: 500 }, () => randomUUID() as string);
  const names = ids.map((_, index) => `account-${index}`);
  const made = await db.unsafe(release11.createAccounts, [ids, names, names, ids.map(() => instance)]);
  assert.equal(made.length, 500);
  await db.unsafe(release11.members, [ids.map(() => group), ids]);
  for (const value of ['{"perInstance": 3}', '{"perInstance": 4}'])
    await db.unsafe(release11.setSetting, ['budget', value]);
  await db.unsafe(release11.activationPassword, [ids[0] ?? '']);
  assert.equal((await db.unsafe(release11.deleteAccount, [names[0] ?? ''])).length, 1);

  const rows = await db<{ kind: string; operation: string; application: string; count: number }[]>`
    select kind, operation, detail->>'application' as application, cardinality(subjects) as count
      from audit_record where kind <> 'marker' order by id`;
  assert.deepEqual(
    rows.map((row) => [row.operation, row.count]),
    [
      ['insert account', 500],
      ['insert group_member', 501],
      ['insert setting', 1],
      ['update setting', 1],
      ['delete account', 1],
      ['delete group_member', 2],
    ],
  );
  assert.ok(rows.every((row) => row.kind === 'unrecorded' && row.application === administration));
});
