/** The table of rights against the schema and against what the programs hold; no database role is needed for that. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../connection.ts';
import { createTestDatabase } from '../database-fixture.ts';
import { listObjects } from './rights-in-force.ts';
import { type DatabaseRole, sequenceRights, tableRights, wantedRights } from './role-rights.ts';

const sources = fileURLToPath(new URL('../../', import.meta.url));

test('every table and every sequence has a line, and every line is of one', async () => {
  const database = await createTestDatabase();
  const db = openDatabase(database.url, { applicationName: 'test', max: 1 });
  const present = [...(await listObjects(db))].sort();
  await db.end();
  assert.deepEqual(present, [...Object.keys(tableRights), ...Object.keys(sequenceRights)].sort());
});

test('every column that a line names is one of its table', async () => {
  const database = await createTestDatabase();
  const db = openDatabase(database.url, { applicationName: 'test', max: 1 });
  const rows = await db<{ name: string }[]>`
    select table_name || '.' || column_name as name from information_schema.columns where table_schema = current_schema()`;
  await db.end();
  const present = new Set(rows.map(({ name }) => name));
  const named = wantedRights().flatMap(({ object, column }) => (column === null ? [] : [`${object}.${column}`]));
  assert.deepEqual(
    named.filter((name) => !present.has(name)),
    [],
  );
});

test('what was recorded is changed by nobody, and removed by the administration alone, of what triggers let go', () => {
  for (const table of ['event', 'upgrade_event', 'audit_record', 'audit_seal', 'audit_cut']) {
    const rights = wantedRights().filter((right) => right.object === table);
    const removing = rights.filter(({ privilege }) => privilege === 'delete').map(({ role }) => role);
    assert.deepEqual(removing, ['upgrade_event', 'audit_cut'].includes(table) ? [] : ['administration'], table);
    const others = rights.filter(({ privilege }) => privilege !== 'delete').map(({ privilege }) => privilege);
    assert.deepEqual([...new Set(others)].sort(), ['insert', 'select'], table);
  }
});

/** Statements that stand in a file which a program loads for something else, and that this program never sends. */
const neverSent: Partial<Record<DatabaseRole, readonly string[]>> = {
  server: [
    'insert domain', // made once, by setup
    'insert component_range, update component_range', // declared by setup and by finalizing
    'insert setting, update setting', // an administrator's
    'insert authority, update authority, delete authority', // made by setup; renewed and replaced by an administration service
    'delete component', // an administrator's
    'select event', // for people
    'insert instance, update instance', // an administrator's
    'select srp_credential, insert srp_credential, update srp_credential', // the administration's
    'select srp_clearance, insert srp_clearance, update srp_clearance', // an administrator's
    'insert revocation_list, update revocation_list', // signed by the administration
    'select domain_key, insert domain_key', // what it is to know nothing of
    'insert activation_password', // an administrator's
    'insert it_policy', // made once, by setup
    'insert service, update service, delete service', // an administrator's
  ],
  connection: [
    'insert domain', // made once, by setup
    'insert component_range, update component_range',
    'delete component',
    'select instance', // credentials of instances, and those that an administrator issues
    'select srp_credential, insert srp_credential, update srp_credential',
    'select srp_clearance, insert srp_clearance, update srp_clearance',
    'select revocation_list, insert revocation_list, update revocation_list',
    'select event', // for people
  ],
  administration: [
    'insert domain',
    'insert component_range, update component_range',
    'insert authority, insert domain_key',
    'delete activation_password', // used up at an instance
    'insert backup_schedule, update backup_schedule, delete backup_schedule', // by commands on its host
    'insert upgrade_wave', // divided by the coordinator
  ],
  coordinator: [
    'insert domain',
    'insert administrator_token, update administrator_token', // an administrator's
    'insert api_token, update api_token, insert api_token_group', // an administrator's
    'insert custom_role, update custom_role, delete custom_role', // an administrator's
    'select event', // for people
    'insert srp_clearance',
    'update authority, delete authority', // renewed and replaced by an administration service
    'insert domain_key', // made once, by setup; laid apart by a migration
    'select revocation_list, insert revocation_list, update revocation_list', // the administration's
    'insert upgrade', // planned by an administrator
    // The administration's: a coordinator keeps no keys.
    'select idempotency_key, insert idempotency_key, update idempotency_key, delete idempotency_key',
    'select openid_provider', // rules that give a role, when an administrator removes it
    'insert migration, update migration', // as the owner of the tables
  ],
};

const programs: readonly [Exclude<DatabaseRole, 'supervisor'>, string][] = [
  ['server', 'processes/server/main.ts'],
  ['connection', 'processes/connection/main.ts'],
  ['administration', 'processes/administration/main.ts'],
  ['coordinator', 'processes/coordinator/main.ts'],
];

describe('the rights of a role are those that its program’s statements need', () => {
  for (const [role, main] of programs) {
    test(role, () => {
      const held = statementsOf(main);
      const spared = (neverSent[role] ?? []).flatMap((line) => line.split(', '));
      const granted = new Set(
        wantedRights()
          .filter((right) => right.role === role && Object.hasOwn(tableRights, right.object))
          .map((right) => `${right.privilege} ${right.object}`),
      );
      const without = [...held].filter((statement) => !granted.has(statement) && !spared.includes(statement));
      assert.deepEqual(without, [], 'give the right in role-rights.ts, or say above that it is never sent');
      // A row is locked by the right to update it, which no statement names.
      const unused = [...granted].filter((right) => !held.has(right) && !isLock(role, right));
      assert.deepEqual(unused, [], 'nothing in the program needs these');
      assert.deepEqual(
        spared.filter((statement) => !held.has(statement)),
        [],
        'named above without being there',
      );
    });
  }
});

function isLock(role: DatabaseRole, right: string): boolean {
  return wantedRights().some(
    ({ role: whose, privilege, object, column }) =>
      whose === role && privilege === 'update' && column !== null && right === `update ${object}`,
  );
}

/** `verb table` of every statement in the files that the program loads. */
function statementsOf(main: string): Set<string> {
  const statements = new Set<string>();
  for (const file of filesOf(resolve(sources, main))) {
    const text = readFileSync(file, 'utf8');
    for (const table of Object.keys(tableRights)) {
      const holds = (pattern: string) => new RegExp(pattern.replaceAll('TABLE', `${table}\\b(?!\\.)`)).test(text);
      if (holds('(?<!delete )\\b(?:from|join|using|unnest) TABLE')) statements.add(`select ${table}`);
      if (holds('insert into TABLE')) statements.add(`insert ${table}`);
      if (holds('\\bupdate TABLE') || holds('insert into TABLE[^`]*do update') || holds('lock table TABLE'))
        statements.add(`update ${table}`);
      if (holds('delete from TABLE')) statements.add(`delete ${table}`);
      // A condition, and what a conflict is decided by, is read.
      if (holds('\\bupdate TABLE|insert into TABLE[^`]*on conflict|delete from TABLE'))
        statements.add(`select ${table}`);
    }
  }
  return statements;
}

function filesOf(main: string): Set<string> {
  const files = new Set<string>();
  const open = [main];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file) || !existsSync(file)) continue;
    files.add(file);
    for (const [statement, imported, dynamic] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)[^;]*? from '([^']+)'|import\('([^']+)'\)/gm,
    )) {
      const path = imported ?? dynamic ?? '';
      if (path.startsWith('.') && !statement.startsWith('import type')) open.push(resolve(dirname(file), path));
    }
  }
  return files;
}
