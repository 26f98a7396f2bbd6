import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { accountsUnderPolicy } from '../accounts/policy-reach.ts';
import { isBrambleError } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import { deleteService, listServices, putService } from '../services/service-store.ts';
import { loadEffectivePolicies } from './effective-policy-store.ts';
import { addAccount, addInstance, openFleet } from './fleet-fixture.ts';
import {
  assignAccountPolicy,
  assignGroupPolicy,
  deletePolicy,
  findPolicy,
  insertPolicy,
  listPolicies,
  replacePolicyRules,
} from './policy-store.ts';
import { preconfiguredPolicies, seedPolicies } from './preconfigured-policies.ts';

const fleet = await openFleet();
const db: Database = fleet.db;
const instance = await addInstance(db, 1);
after(() => fleet.close());

async function addGroup(rank: number, ...accountIds: string[]): Promise<string> {
  const id = randomUUID();
  await db`insert into account_group (id, name, rank) values (${id}, ${id}, ${rank})`;
  for (const accountId of accountIds)
    await db`insert into group_member (group_id, account_id) values (${id}, ${accountId})`;
  return id;
}

test('seeding again changes nothing, not even a policy that an administrator changed', async () => {
  await replacePolicyRules(db, 'Basic Password Security', { passwordMinimumLength: 5 });
  assert.equal(await seedPolicies(db), 0);
  assert.deepEqual((await findPolicy(db, 'Basic Password Security'))?.rules, { passwordMinimumLength: 5 });
  const names = (await listPolicies(db)).filter((policy) => policy.preconfigured).map((policy) => policy.name);
  assert.deepEqual(names.sort(), Object.keys(preconfiguredPolicies).sort());
});

test('a policy is stored, changed and deleted, and refused with codes', async () => {
  const created = await insertPolicy(db, 'Warehouse', { allowCamera: false });
  assert.deepEqual(created.rules, { allowCamera: false });
  await assert.rejects(insertPolicy(db, 'Warehouse', {}), (error) => isBrambleError(error, 'ERR_POLICY_EXISTS'));
  await assert.rejects(insertPolicy(db, 'X', { nonsense: 1 }), (error) =>
    isBrambleError(error, 'ERR_POLICY_RULE_UNKNOWN'),
  );
  const changed = await replacePolicyRules(db, 'Warehouse', { allowCamera: true });
  assert.deepEqual(changed !== 'not-found' && changed.rules, { allowCamera: true });
  assert.equal(await replacePolicyRules(db, 'No such', {}), 'not-found');
  assert.equal(await deletePolicy(db, 'Warehouse'), 'deleted');
  assert.equal(await deletePolicy(db, 'Warehouse'), 'not-found');
  await assert.rejects(deletePolicy(db, 'Default'), (error) => isBrambleError(error, 'ERR_POLICY_IS_DEFAULT'));
});

test('the rules of many accounts are merged from one statement: user over groups by rank over Default', async () => {
  const [own, grouped, plain] = await Promise.all([1, 2, 3].map(() => addAccount(db, instance.id)));
  assert.ok(own && grouped && plain);
  const strict = await insertPolicy(db, 'Strict', { passwordMinimumLength: 8, allowCamera: false });
  const lax = await insertPolicy(db, 'Lax', { passwordMinimumLength: 4, allowScreenShot: false });
  const personal = await insertPolicy(db, 'Personal', { passwordMinimumLength: 12 });
  await assignGroupPolicy(db, await addGroup(10, own, grouped), lax.id);
  await assignGroupPolicy(db, await addGroup(2, own, grouped), strict.id);
  await assignAccountPolicy(db, own, personal.id);
  const stranger = randomUUID();
  const policies = await loadEffectivePolicies(db, [own, grouped, plain, stranger, plain]);
  assert.equal(policies.size, 4);
  assert.equal(policies.get(own)?.rules['passwordMinimumLength'], 12);
  assert.equal(policies.get(own)?.rules['allowCamera'], false);
  assert.equal(policies.get(grouped)?.rules['passwordMinimumLength'], 8);
  assert.equal(policies.get(grouped)?.rules['allowScreenShot'], false);
  assert.equal(policies.get(grouped)?.rules['allowAppInstallation'], true);
  assert.deepEqual(policies.get(plain), policies.get(stranger));
  assert.deepEqual(policies.get(plain)?.rules, preconfiguredPolicies['Default']);

  assert.deepEqual(await accountsUnderPolicy(db, strict.id), [own, grouped].sort());
  assert.deepEqual(await accountsUnderPolicy(db, personal.id), [own]);
  const everybody = await accountsUnderPolicy(db, (await findPolicy(db, 'Default'))?.id ?? '');
  assert.ok(everybody.includes(plain) && everybody.includes(own));

  await deletePolicy(db, 'Personal');
  assert.equal((await loadEffectivePolicies(db, [own])).get(own)?.rules['passwordMinimumLength'], 8);
  await assignAccountPolicy(db, own, lax.id);
  await assignAccountPolicy(db, own, null);
  assert.equal((await loadEffectivePolicies(db, [own])).get(own)?.rules['passwordMinimumLength'], 8);
  assert.equal((await loadEffectivePolicies(db, [])).size, 0);
});

test('services are stored with what was left out filled in', async () => {
  await putService(db, '[CICAL]', { host: 'one.example.com' });
  await putService(db, '[CICAL]', { host: 'dav.example.com' });
  assert.deepEqual(
    (await listServices(db)).map(({ type, settings }) => ({ type, settings })),
    [{ type: '[CICAL]', settings: { host: 'dav.example.com', useTls: true, username: '{account}' } }],
  );
  await assert.rejects(putService(db, '[IPPP]', {}), (error) => isBrambleError(error, 'ERR_SERVICE_SETTINGS'));
  assert.equal(await deleteService(db, '[CICAL]'), 'deleted');
  assert.equal(await deleteService(db, '[CICAL]'), 'not-found');
});
