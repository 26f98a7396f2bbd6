/** A patch whose release wants other rights than the database has, with a coordinator that has no more than its role. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDatabase } from '../../database/connection.ts';
import { currentDatabase, listRoles, rightsDifference } from '../../database/roles/rights-in-force.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { finalizeByOperator, reverseByOperator } from '../operations/operator-actions.ts';
import { operator, type Scene, scene, until } from '../steps/scene-fixture.ts';

const limited = { timeout: 120_000 };

/** To begin with the server lacks a right that this release wants, and has one that it does not. */
async function patchOfRights(t: TestContext) {
  const it = await scene({}, '1.0.1');
  const home = await mkdtemp(path.join(os.tmpdir(), 'bramble-home-'));
  await establishRoles(it.url, home);
  const coordinator = (await readRoleCredentials(home)).get('coordinator');
  const db = openDatabase(urlForRole(it.url, coordinator), { applicationName: 'bramble/test', max: 3 });
  t.after(async () => {
    await db.end({ timeout: 5 });
    await rm(home, { recursive: true, force: true });
  });
  const server = `"${await currentDatabase(it.db)}_server"`;
  await it.db.unsafe(`revoke select on account from ${server}; grant delete on event to ${server}`);
  assert.deepEqual(await differences(it), ['excess delete event', 'missing select account']);
  return { it, context: it.context('one', { db }) };
}

async function differences({ db }: Scene): Promise<string[]> {
  const database = await currentDatabase(db);
  const found = await rightsDifference(db, database, await listRoles(db, database));
  return found.map(({ kind, privilege, object }) => `${kind} ${privilege} ${object}`).sort();
}

test(
  'a patch grants what its release wants behind the fence, and takes the rest back when it is closed',
  limited,
  async (t) => {
    const { it, context } = await patchOfRights(t);
    await until(it, context, ['expanded']);
    assert.deepEqual(await differences(it), ['excess delete event'], 'the release before may still need it');
    await until(it, context, ['soaking']);
    await it.db.begin((tx) => finalizeByOperator(tx, operator));
    await until(it, context, ['done']);
    assert.deepEqual(await differences(it), []);
  },
);

test('a reversed patch takes back what it granted, and nothing else', limited, async (t) => {
  const { it, context } = await patchOfRights(t);
  await until(it, context, ['soaking']);
  await it.db.begin((tx) => reverseByOperator(tx, operator));
  await until(it, context, ['reversed']);
  assert.deepEqual(await differences(it), ['excess delete event', 'missing select account']);
});
