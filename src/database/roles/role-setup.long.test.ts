/** Roles in a real database: what each may, what none may, and that migrations keep it so. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../../testing/condition.ts';
import { type Database, openDatabase } from '../connection.ts';
import { createEarlierTestDatabase, createTestDatabase } from '../database-fixture.ts';
import { migrate } from '../migrate.ts';
import { sqlState } from '../sql-state.ts';
import { currentDatabase, listRoles, rightsDifference } from './rights-in-force.ts';
import { readRoleCredentials, urlForRole } from './role-credentials.ts';
import { assumedRoles, type DatabaseRole, databaseRoles, processRoles, roleName } from './role-rights.ts';
import { establishRoles } from './role-setup.ts';

const limited = { timeout: 60_000 };
const sqlFolder = fileURLToPath(new URL('../../../sql', import.meta.url));
const insufficientPrivilege = '42501';
const tooManyConnections = '53300';

interface Roles {
  url: string;
  home: string;
  /** The superuser. */
  db: Database;
  as(role: DatabaseRole): Database;
  urlAs(role: DatabaseRole): string;
}

/** Of the role for joining, which has none but by an invitation. */
const joiningPassword = 'of-an-invitation';

async function withRoles(t: TestContext, made: Promise<{ url: string }> = createTestDatabase()): Promise<Roles> {
  const { url } = await made;
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  await establishRoles(url, home);
  const credentials = await readRoleCredentials(home);
  const opened: Database[] = [];
  const open = (address: string) => {
    const db = openDatabase(address, { applicationName: 'test', max: 1 });
    opened.push(db);
    return db;
  };
  t.after(async () => {
    await Promise.all(opened.map((db) => db.end({ timeout: 5 })));
    await rm(home, { recursive: true, force: true });
  });
  const db = open(url);
  const user = roleName(await currentDatabase(db), 'join');
  await db.unsafe(`alter role "${user}" password '${joiningPassword}'`);
  const known = new Map([...credentials, ['join', { user, password: joiningPassword }] as const]);
  const urlAs = (role: DatabaseRole) => urlForRole(url, known.get(role));
  return { url, home, db, as: (role) => open(urlAs(role)), urlAs };
}

async function assertDenied(statement: Promise<unknown>, what: string): Promise<void> {
  await assert.rejects(statement, (error) => sqlState(error) === insufficientPrivilege, what);
}

async function differences({ db }: Roles) {
  const database = await currentDatabase(db);
  return await rightsDifference(db, database, await listRoles(db, database));
}

test('every role of a process logs in by its credential, which its owner alone can read', limited, async (t) => {
  const roles = await withRoles(t);
  for (const role of processRoles) {
    const [row] = await roles.as(role)`select session_user as name, current_database() as database`;
    assert.equal(row?.['name'], `${row?.['database']}_${role}`);
    assert.equal((await stat(join(roles.home, 'database', `${role}.json`))).mode & 0o777, 0o600);
  }
  assert.deepEqual((await readdir(join(roles.home, 'database'))).length, processRoles.length);
});

test('the rights are those of the table, also when they are established again', limited, async (t) => {
  const roles = await withRoles(t);
  assert.deepEqual(await differences(roles), []);
  const before = await readRoleCredentials(roles.home);
  await establishRoles(roles.url, roles.home);
  assert.deepEqual(await differences(roles), []);
  assert.deepEqual(await readRoleCredentials(roles.home), before);
  await roles.as('server')`select 1 from account for share`;
});

test('the roles are made beside a transaction that holds one table and wants another', limited, async (t) => {
  const { url } = await createTestDatabase();
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  const db = openDatabase(url, { applicationName: 'test', max: 2 });
  t.after(async () => {
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  let making: Promise<void> | undefined;
  await db.begin(async (holder) => {
    await holder`select 1 from device`;
    making = establishRoles(url, home);
    await until('the owner of `device` is to be changed', 60_000, async () => {
      const rows = await db`
        select 1 from pg_stat_activity where datname = current_database()
           and application_name = 'bramble/database-roles' and wait_event_type = 'Lock' and query like 'alter table device %'`;
      return rows.length > 0;
    });
    // Had it the locks of what comes before `device`, one of the two would have to give way.
    await holder`select 1 from account`;
  });
  await making;
  assert.deepEqual((await readRoleCredentials(home)).size, processRoles.length);
});

test('who holds an invitation takes few sessions, and reads, adds and removes nothing', limited, async (t) => {
  const roles = await withRoles(t);
  await roles.db`
    insert into host_invitation (id, host, secrets, key_id, database_url, administers, invited_by, expires_at)
    values (gen_random_uuid(), 'berlin', 'secret', 'key', 'postgres://db/bramble', false, 'ada', now() + interval '1 hour')`;
  const join = roles.as('join');
  for (const column of ['secrets', 'database_url', 'invited_by', 'proof', 'host', '*'])
    await assertDenied(join.unsafe(`select ${column} from host_invitation`), `it reads ${column}`);
  await assertDenied(join`insert into host_invitation (id) values (gen_random_uuid())`, 'it invites');
  await assertDenied(join`delete from host_invitation`, 'it withdraws invitations');
  await assertDenied(join`update host_invitation set expires_at = 'infinity'`, 'it prolongs its own');
  await assertDenied(join`update host_invitation set answer = ''`, 'it answers');
  for (const table of ['host', 'account', 'setting', 'release_file', 'event'])
    await assertDenied(join.unsafe(`select from ${table}`), `it reads ${table}`);
  // What every invited host can do to the others', who ask again.
  await join`update host_invitation set request = ${'x'.repeat(4096)}, proof = 'none', requested_at = now()`;
  await assert.rejects(join`update host_invitation set request = ${'x'.repeat(4097)}`, { code: '23514' });
  // One after another: those that begin at once count each other.
  for (let session = 2; session <= 8; session++) await roles.as('join')`select 1`;
  await assert.rejects(
    roles.as('join')`select 1`,
    (error) => sqlState(error) === tooManyConnections,
    'a ninth session',
  );
});

test('nobody who may log in fills the disk with what is in no table of the domain', limited, async (t) => {
  const roles = await withRoles(t);
  for (const role of databaseRoles) {
    const db = roles.as(role);
    await assertDenied(db`create temporary table loot (id integer)`, `${role} makes a temporary table`);
    for (const call of [
      'lo_creat(-1)',
      'lo_create(0)',
      "lo_from_bytea(0, 'x')",
      "lo_put(1, 0, 'x')",
      "lowrite(0, 'x')",
    ])
      await assertDenied(db.unsafe(`select ${call}`), `${role} calls ${call}`);
  }
});

test('who holds an invitation locks nothing that a component waits for', limited, async (t) => {
  const roles = await withRoles(t);
  const functions = await roles.db<{ call: string }[]>`
    select proname || '(' || array_to_string(array_fill('1'::text, array[pronargs::int]), ',') || ')' as call
      from pg_proc where proname ~ 'advisory' and proname !~ 'unlock' and pronamespace = 'pg_catalog'::regnamespace`;
  assert.equal(functions.length, 16);
  const joining = roles.as('join');
  for (const { call } of functions) await assertDenied(joining.unsafe(`select ${call}`), `it calls ${call}`);
  const tables = await roles.db<
    { name: string }[]
  >`select tablename as name from pg_tables where schemaname = 'public'`;
  for (const mode of ['row exclusive', 'share', 'access exclusive']) {
    const lock = (name: string) => joining.begin((tx) => tx.unsafe(`lock table ${name} in ${mode} mode`));
    for (const { name } of tables) await assertDenied(lock(name), `it locks ${name}`);
  }
  for (const role of ['server', 'administration', 'connection', 'coordinator'] as const) {
    const db = roles.as(role);
    for (const { call } of functions) await db.unsafe(`select ${call}`);
    await db.end();
  }
});

describe('what no process may, whichever it is', limited, () => {
  test('change or remove what was recorded', async (t) => {
    const roles = await withRoles(t);
    for (const role of databaseRoles) {
      const db = roles.as(role);
      await assertDenied(db`update event set message = 'nothing happened'`, `${role} changes an event`);
      await roles.db`insert into event (kind, message) values ('test', 'x')`;
      await assertDenied(db`delete from event`, `${role} removes events`);
      await assertDenied(db`truncate event`, `${role} empties the log`);
      await assertDenied(db`update upgrade_event set message = ''`, `${role} changes an upgrade’s event`);
      await assertDenied(db`delete from upgrade_event`, `${role} removes an upgrade’s events`);
    }
  });

  test('have the owner of the schema carry out what a trigger of its own names', async (t) => {
    const roles = await withRoles(t);
    const definers = await roles.db<{ name: string }[]>`
      select proname as name from pg_proc where prosecdef and pronamespace = 'public'::regnamespace order by 1`;
    assert.ok(definers.length >= 4);
    const database = await currentDatabase(roles.db);
    for (const role of databaseRoles) {
      const db = roles.as(role);
      await roles.db.unsafe(`grant temporary on database "${database}" to "${roleName(database, role)}"`);
      await db`create temporary table lure (name text)`;
      for (const { name } of definers) {
        const trigger = `create trigger lure after insert on lure for each row execute function public.${name}('array[1::text]', '{name}')`;
        await assertDenied(db.unsafe(trigger), `${role} makes a trigger with ${name}`);
      }
    }
  });

  test('make roles, or become one that may more', async (t) => {
    const roles = await withRoles(t);
    const database = await currentDatabase(roles.db);
    for (const role of databaseRoles) {
      const db = roles.as(role);
      await assertDenied(db`create role mallory`, `${role} creates a role`);
      await assertDenied(db`create table loot (id integer)`, `${role} creates a table`);
      await assertDenied(db`alter table event disable trigger all`, `${role} alters a table`);
      for (const other of databaseRoles.filter((name) => name !== role && name !== assumedRoles[role])) {
        await assertDenied(db.unsafe(`set role "${database}_${other}"`), `${role} becomes ${other}`);
      }
      if (role !== 'coordinator') {
        await assertDenied(db.unsafe(`set role "${database}_owner"`), `${role} becomes the owner`);
      }
      await assertDenied(db`select pg_read_file('/etc/passwd')`, `${role} reads files`);
    }
  });
});

test(
  'an instance neither reads administrators’ tokens, nor says what runs, nor changes the domain',
  limited,
  async (t) => {
    const db = (await withRoles(t)).as('server');
    await assertDenied(db`select digest from administrator_token`, 'reads tokens');
    await assertDenied(db`select * from desired_process`, 'reads what runs');
    await assertDenied(db`update domain set release = '9.9.9'`, 'changes the domain');
    await assertDenied(db`update setting set value = '{}'`, 'changes settings');
    await assertDenied(db`update account set instance_id = gen_random_uuid()`, 'takes an account');
    await assertDenied(db`delete from account`, 'deletes accounts');
    await assertDenied(db`update srp_credential set revoked_at = null`, 'lifts a revocation');
    await assertDenied(db`delete from component`, 'forgets components');
    await assertDenied(
      db`insert into it_policy (id, name, rules) values (gen_random_uuid(), 'x', '{}')`,
      'adds a policy',
    );
  },
);

test('a connection service reads whom it serves, and nothing that belongs to a device', limited, async (t) => {
  const db = (await withRoles(t)).as('connection');
  await db`select id, account_id, state, suspended_at, identity_fingerprint from device`;
  await db`
    insert into device_heard (device_id, heard_at)
    select d.id, clock_timestamp() from device d
     where not exists (select 1 from device_heard h where h.device_id = d.id and h.heard_at > d.suspended_at)
    on conflict (device_id) do update set heard_at = excluded.heard_at`;
  await assertDenied(db`select push_token from device`, 'reads push tokens');
  await assertDenied(db`select body from command`, 'reads commands');
  await assertDenied(db`select digest from activation_password`, 'reads activation passwords');
  await assertDenied(db`update connection_service set allowed_hosts = '{*}'`, 'allows itself hosts');
});

test('the coordinator migrates as the owner of the tables, and new tables have their rights', limited, async (t) => {
  const roles = await withRoles(t, createEarlierTestDatabase(6));
  await migrate(roles.urlAs('coordinator'), {
    folder: sqlFolder,
    release: '1.2.0',
    contract: true,
    applicationName: 'test',
  });
  assert.deepEqual(await differences(roles), []);
  const owners = await roles.db`select distinct tableowner as name from pg_tables where schemaname = 'public'`;
  assert.deepEqual(
    owners.map((row) => row['name']),
    [`${await currentDatabase(roles.db)}_owner`],
  );
  await roles.as('server')`select 1 from connection_service_instance`;
});

test(
  'a right that somebody added is taken back at the end of an upgrade, and until then it stays',
  limited,
  async (t) => {
    const roles = await withRoles(t);
    const database = await currentDatabase(roles.db);
    await roles.db.unsafe(
      `grant delete on event to "${database}_server"; grant select on administrator_token to public`,
    );
    await roles.db.unsafe(`revoke select on account from "${database}_server"`);
    assert.deepEqual((await differences(roles)).map(({ kind, object }) => `${kind} ${object}`).sort(), [
      'excess administrator_token',
      'excess event',
      'missing account',
    ]);
    const options = { folder: sqlFolder, release: '1.2.0', applicationName: 'test' };
    await migrate(roles.urlAs('coordinator'), { ...options, contract: false });
    assert.deepEqual((await differences(roles)).map(({ kind, object }) => `${kind} ${object}`).sort(), [
      'excess administrator_token',
      'excess event',
    ]);
    await migrate(roles.urlAs('coordinator'), { ...options, contract: true });
    assert.deepEqual(await differences(roles), []);
  },
);

test('the coordinator ends a session of another role, as the release fence does', limited, async (t) => {
  const roles = await withRoles(t);
  const victim = roles.as('administration');
  const [session] = await victim`select pg_backend_pid() as pid`;
  const coordinator = roles.as('coordinator');
  const [seen] = await coordinator`
    select application_name as name, state from pg_stat_activity where pid = ${Number(session?.['pid'])}`;
  assert.deepEqual({ ...seen }, { name: 'test', state: 'idle' });
  const [ended] = await coordinator`select pg_terminate_backend(${Number(session?.['pid'])}) as done`;
  assert.equal(ended?.['done'], true);
  await assertDenied(
    roles.as('server')`select pg_terminate_backend(${await pidOf(coordinator)})`,
    'an instance ends the coordinator',
  );
});

async function pidOf(db: Database): Promise<number> {
  const [row] = await db`select pg_backend_pid() as pid`;
  return Number(row?.['pid']);
}
