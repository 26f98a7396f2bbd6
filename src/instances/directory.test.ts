import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { importAccounts } from '../accounts/account-import.ts';
import { listAccounts } from '../accounts/account-list.ts';
import { createAccount, deleteAccount, getAccount } from '../accounts/accounts.ts';
import {
  addGroupMember,
  createGroup,
  findGroup,
  listGroupMembers,
  listGroups,
  removeGroupMember,
} from '../accounts/groups.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits } from '../database/waiting-fixture.ts';
import { listInstancesOnTrial } from '../upgrade/state/upgrade-store.ts';
import {
  createConnectionService,
  getConnectionService,
  listConnectionServices,
  updateConnectionService,
} from './connection-services.ts';
import { createInstance, findInstance, listInstances, retireInstance } from './instances.ts';

const { url } = await createTestDatabase();
let db: Database;
before(() => {
  db = openDatabase(url, { applicationName: 'bramble/test' });
});
after(async () => {
  await db.end();
});

test('without an instance no account is created', async () => {
  assert.deepEqual(await db.begin((tx) => createAccount(tx, { name: 'early' }, listInstancesOnTrial)), {
    kind: 'no-instance',
  });
});

test('instances get SRP identifiers of S and eight digits, one each, and keep their names apart', async () => {
  const first = await db.begin((tx) => createInstance(tx, { name: 'east' }));
  const second = await db.begin((tx) => createInstance(tx, { name: 'west' }));
  assert.ok(first.kind === 'created' && second.kind === 'created');
  assert.match(first.srpIdentifier, /^S\d{8}$/);
  assert.notEqual(first.srpIdentifier, second.srpIdentifier);
  assert.equal((await db.begin((tx) => createInstance(tx, { name: 'east' }))).kind, 'name-taken');
  assert.equal((await findInstance(db, first.srpIdentifier))?.name, 'east');
});

test('a new account goes to the named instance, or to the one with the fewest, with its first epoch', async () => {
  const named = await db.begin((tx) =>
    createAccount(tx, { name: 'Ada', displayName: 'Ada L.', instance: 'west' }, listInstancesOnTrial),
  );
  assert.ok(named.kind === 'created');
  assert.equal(named.account.name, 'ada');
  assert.equal(named.account.instance, 'west');
  assert.equal(named.account.epoch, 1);
  const balanced = await db.begin((tx) => createAccount(tx, { name: 'bob' }, listInstancesOnTrial));
  assert.ok(balanced.kind === 'created' && balanced.account.instance === 'east');
  assert.equal((await db.begin((tx) => createAccount(tx, { name: 'ADA' }, listInstancesOnTrial))).kind, 'name-taken');
  assert.equal(
    (await db.begin((tx) => createAccount(tx, { name: 'x', instance: 'north' }, listInstancesOnTrial))).kind,
    'unknown-instance',
  );
  assert.equal(
    (await db.begin((tx) => createAccount(tx, { name: 'x', groups: ['none'] }, listInstancesOnTrial))).kind,
    'unknown-group',
  );
  assert.equal(await getAccount(db, 'x'), undefined);
  const epochs = await db`select epoch::int as epoch, instance_id = ${named.account.instanceId} as own
    from account_epoch where account_id = ${named.account.id}`;
  assert.deepEqual([...epochs], [{ epoch: 1, own: true }]);
});

test('groups have ranks of their own, and members that come and go', async () => {
  const sales = await db.begin((tx) => createGroup(tx, { name: 'Sales' }));
  assert.ok(sales.kind === 'created');
  assert.equal((await db.begin((tx) => createGroup(tx, { name: 'Sales' }))).kind, 'name-taken');
  assert.equal((await db.begin((tx) => createGroup(tx, { name: 'Other', rank: sales.group.rank }))).kind, 'rank-taken');
  const add = (group: string, account: string) => db.begin((tx) => addGroupMember(tx, group, account));
  assert.equal(await add('Sales', 'ada'), 'changed');
  assert.equal(await add('Sales', 'ada'), 'unchanged');
  assert.equal(await add('none', 'ada'), 'unknown-group');
  assert.equal(await add('Sales', 'none'), 'unknown-account');
  assert.deepEqual(await listGroupMembers(db, 'Sales'), ['ada']);
  assert.deepEqual((await getAccount(db, 'ada'))?.groups, ['Sales']);
  assert.equal((await listGroups(db, null))[0]?.memberCount, 1);
  assert.equal(await db.begin((tx) => removeGroupMember(tx, 'Sales', 'ada')), 'changed');
  assert.deepEqual(await listGroupMembers(db, 'Sales'), []);
  assert.equal(await listGroupMembers(db, 'none'), undefined);
});

test('5,000 accounts are imported in chunks of one transaction, evenly placed, and every skip is reported', async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({
    name: `user-${String(i).padStart(5, '0')}`,
    groups: ['Sales'],
  }));
  const started = performance.now();
  const outcomes = await db.begin(async (tx) => {
    const all = [];
    for (let i = 0; i < rows.length; i += 1000)
      all.push(...(await importAccounts(tx, rows.slice(i, i + 1000), listInstancesOnTrial)));
    return all;
  });
  console.log(`# import of 5,000 accounts: ${Math.round(performance.now() - started)} ms`);
  assert.equal(outcomes.filter((outcome) => outcome.kind === 'created').length, 5000);
  const counts = (await listInstances(db)).map((instance) => instance.accountCount);
  assert.deepEqual(counts, [2501, 2501]);
  const [epochs] = await db`select count(*)::int as n from account_epoch`;
  assert.equal(epochs?.['n'], 5002);
  const again = await db.begin((tx) =>
    importAccounts(
      tx,
      [
        { name: 'user-00001' },
        { name: 'fresh', instance: 'west' },
        { name: 'FRESH' },
        { name: 'a b' },
        { name: 'lost', instance: 'north' },
        { name: 'groupless', groups: ['none'] },
      ],
      listInstancesOnTrial,
    ),
  );
  assert.deepEqual(
    again.map((outcome) => (outcome.kind === 'skipped' ? outcome.reason : outcome.kind)),
    ['name-taken', 'created', 'name-taken', 'name-not-valid', 'unknown-instance', 'unknown-group'],
  );
});

test('two imports of the same names at once create each account once', async () => {
  const rows = Array.from({ length: 200 }, (_, i) => ({ name: `twin-${i}` }));
  const [one, two] = await Promise.all([
    db.begin((tx) => importAccounts(tx, rows, listInstancesOnTrial)),
    db.begin((tx) => importAccounts(tx, [...rows].reverse(), listInstancesOnTrial)),
  ]);
  const created = [...one, ...two].filter((outcome) => outcome.kind === 'created');
  assert.equal(created.length, 200);
  const page = await listAccounts(db, { sort: 'name', after: 'twin', limit: 1000 });
  assert.equal(page.accounts.filter((account) => account.name.startsWith('twin-')).length, 200);
});

test('pages of accounts follow each other by name without gap or repetition, also filtered', async () => {
  const seen: string[] = [];
  const conditions = { groupId: await findGroup(db, 'Sales'), instanceId: (await findInstance(db, 'east'))?.id };
  let after: string | undefined;
  do {
    const page = await listAccounts(db, { ...conditions, sort: 'name', limit: 700, after });
    seen.push(...page.accounts.map((account) => account.name));
    assert.ok(page.accounts.every((account) => account.instance === 'east'));
    after = page.next ?? undefined;
  } while (after !== undefined);
  const [expected] = await db`select array(select a.name from account a join instance i on i.id = a.instance_id
    where i.name = 'east' and a.name like 'user-%' order by a.name) as names`;
  assert.deepEqual(seen, expected?.['names']);
});

test('deleting an account takes what belongs to it along', async () => {
  assert.equal(await db.begin((tx) => deleteAccount(tx, 'bob')), 'deleted');
  assert.equal(await db.begin((tx) => deleteAccount(tx, 'bob')), 'not-found');
});

test('only an instance without accounts can be retired, and takes no new ones then', async () => {
  await db.begin((tx) => createInstance(tx, { name: 'spare' }));
  const busy = await db.begin((tx) => retireInstance(tx, 'east'));
  assert.equal(busy.kind, 'has-accounts');
  assert.equal((await db.begin((tx) => retireInstance(tx, 'spare'))).kind, 'retired');
  assert.equal((await db.begin((tx) => retireInstance(tx, 'none'))).kind, 'not-found');
  assert.equal(
    (await db.begin((tx) => createAccount(tx, { name: 'late', instance: 'spare' }, listInstancesOnTrial))).kind,
    'unknown-instance',
  );
  const balanced = await db.begin((tx) => createAccount(tx, { name: 'late' }, listInstancesOnTrial));
  assert.ok(balanced.kind === 'created' && balanced.account.instance !== 'spare');
});

test('a retirement waits for the account that is being created there, and then refuses', async () => {
  await db.begin((tx) => createInstance(tx, { name: 'contested' }));
  let retiring: Promise<{ kind: string }> | undefined;
  await db.begin(async (tx) => {
    await createAccount(tx, { name: 'first-there', instance: 'contested' }, listInstancesOnTrial);
    retiring = db.begin((other) => retireInstance(other, 'contested'));
    await untilOneWaits(db);
  });
  assert.equal((await retiring)?.kind, 'has-accounts');
});

test('a connection service serves the instances that it is given, and changes are of what is named only', async () => {
  const created = await db.begin((tx) =>
    createConnectionService(tx, { name: 'mds-1', instances: ['east'], allowedHosts: ['Mail.example.org:993'] }),
  );
  assert.ok(created.kind === 'created');
  assert.match(created.service.srpIdentifier, /^C\d{8}$/);
  assert.deepEqual(created.service.allowedHosts, ['mail.example.org:993']);
  const again = (instance: string) =>
    db.begin((tx) => createConnectionService(tx, { name: 'mds-1', instances: [instance] }));
  assert.equal((await again('east')).kind, 'name-taken');
  assert.equal((await again('none')).kind, 'unknown-instance');
  const update = (name: string, change: { instances?: string[]; allowedHosts?: string[] }) =>
    db.begin((tx) => updateConnectionService(tx, name, change));
  assert.deepEqual(await update('mds-1', { instances: ['east', 'none'] }), {
    kind: 'unknown-instance',
    instance: 'none',
  });
  assert.equal((await update('none', { instances: ['west'] })).kind, 'not-found');
  const shared = await update('mds-1', { instances: ['west', 'east'] });
  assert.ok(shared.kind === 'updated');
  assert.deepEqual(shared.service.instances, ['east', 'west']);
  const moved = await update('mds-1', { instances: ['west'] });
  assert.ok(moved.kind === 'updated');
  assert.deepEqual(moved.service.instances, ['west']);
  assert.deepEqual(moved.service.allowedHosts, ['mail.example.org:993']);
  const opened = await update('mds-1', { allowedHosts: ['*.example.org:443'] });
  assert.ok(opened.kind === 'updated');
  assert.deepEqual(opened.service.instances, ['west']);
  assert.equal((await getConnectionService(db, created.service.srpIdentifier))?.name, 'mds-1');
  assert.equal((await listConnectionServices(db)).length, 1);
});
