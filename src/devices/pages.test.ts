/** Pages of accounts and devices: whole in every sort, whatever comes and goes meanwhile, and within their conditions. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { AccountConditions } from '../accounts/account-choice.ts';
import { type AccountSort, listAccounts } from '../accounts/account-list.ts';
import { newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { endingWithin } from '../testing/property.ts';
import { seedDevice, seedDomain } from './device-fixture.ts';
import { type DeviceFilter, type DeviceSort, listDevices } from './device-list.ts';

const limited = { timeout: 60_000 };
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
after(async () => await db.end());

const rows = 24;
let here: string;
let there: string;
const groups = { few: newId<string>(), none: newId<string>() };
before(async () => {
  ({ here, there } = await seedDomain(db));
  // Names of which each is a prefix or a pattern of others, times that differ by microseconds, few models.
  for (let n = 0; n < rows; n++) {
    const name = `${['a%', 'a_', 'ab', 'é'][n % 4]}${n}`;
    const { deviceId, accountId } = await seedDevice(db, (n % 3 === 0 ? there : here) as never, name);
    await db`update account set display_name = ${['Ada', 'ada', 'Özge'][n % 3] ?? ''}, created_at = ${`2026-11-27T08:00:00.00000${n % 7}Z`}
              where id = ${accountId}`;
    await db`update device set model = ${[null, 'Phone', 'phone', 'x'.repeat(5000)][n % 4] ?? null},
                    serial_number = ${n % 2 ? null : `S${n}`}, created_at = ${`2026-11-27T08:00:00.00000${n % 7}Z`}
              where id = ${deviceId}`;
  }
  await db`insert into account_group (id, name, rank) values (${groups.few}, 'few', 1), (${groups.none}, 'none', 2)`;
  await db`insert into group_member select ${groups.few}, id from account order by name limit 7`;
});

type Walk = (page: { after: string | undefined; limit: number }) => Promise<{ ids: string[]; next: string | null }>;
const everything = { accounts: {} };
const accountWalk =
  (sort: AccountSort | `-${AccountSort}`, conditions: AccountConditions = {}): Walk =>
  async (page) => {
    const { accounts, next } = await listAccounts(db, { sort, ...conditions, ...page });
    return { ids: accounts.map(({ id }) => id), next };
  };
const deviceWalk =
  (sort: DeviceSort | `-${DeviceSort}`, filter: Partial<DeviceFilter> = {}): Walk =>
  async (page) => {
    const { devices, next } = await listDevices(db, { ...everything, sort, ...filter, ...page });
    return { ids: devices.map(({ id }) => id), next };
  };

async function walked(walk: Walk, limit: number, between?: (page: number) => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  let at: string | undefined;
  for (let page = 0; page === 0 || at !== undefined; page++) {
    const { ids, next } = await walk({ after: at, limit });
    assert.ok(ids.length <= limit);
    seen.push(...ids);
    at = next ?? undefined;
    await between?.(page);
  }
  return seen;
}

const accountSorts = ['name', 'createdAt', 'displayName'] as const;
const deviceSorts = ['id', 'createdAt', 'serialNumber', 'model'] as const;
const walks = [
  ...accountSorts.flatMap((sort) => [accountWalk(sort), accountWalk(`-${sort}`)]),
  ...deviceSorts.flatMap((sort) => [deviceWalk(sort), deviceWalk(`-${sort}`)]),
];

test('pages of every size give each row once, in the order of the whole list', limited, async () => {
  for (const walk of walks) {
    const whole = (await walk({ after: undefined, limit: 1000 })).ids;
    assert.equal(new Set(whole).size, rows);
    for (const limit of [1, 7, rows - 1, rows]) assert.deepEqual(await walked(walk, limit), whole);
  }
  for (const [index, walk] of walks.entries()) {
    const reversed = walks[index % 2 === 0 ? index + 1 : index - 1] as Walk;
    const whole = (await walk({ after: undefined, limit: 1000 })).ids;
    assert.deepEqual((await reversed({ after: undefined, limit: 1000 })).ids.toReversed(), whole);
  }
});

test('none that stood the whole time is missed or repeated, whatever comes and goes', limited, async () => {
  const stood = new Set((await accountWalk('name')({ after: undefined, limit: 1000 })).ids);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...walks.keys()),
      fc.integer({ min: 1, max: 25 }),
      fc.array(
        fc.tuple(
          fc.boolean(),
          fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('a', '%', '_', 'é', 'z') }),
        ),
        {
          maxLength: 40,
        },
      ),
      async (which, limit, changes) => {
        const walk = walks[which] as Walk;
        const standing = which < 6 ? stood : new Set((await deviceWalk('id')({ after: undefined, limit: 1000 })).ids);
        const added: string[] = [];
        const left = [...changes];
        const seen = await walked(walk, limit, async () => {
          for (const [adds, text] of left.splice(0, 4)) {
            if (adds) added.push((await seedDevice(db, here as never, `${text}-${newId()}`)).accountId);
            else await db`delete from account where id = ${added.pop() ?? newId()}`;
          }
        });
        for (const id of added) await db`delete from account where id = ${id}`;
        assert.equal(new Set(seen).size, seen.length, 'repeated');
        assert.deepEqual(
          [...standing].filter((id) => !seen.includes(id)),
          [],
          'missed',
        );
      },
    ),
    { numRuns: 40, ...endingWithin(limited.timeout) },
  );
});

test('conditions on accounts hold for accounts and their devices, in every sort', limited, async () => {
  const members = await db<{ id: string }[]>`select account_id as id from group_member where group_id = ${groups.few}`;
  const ofThem = await db<{ id: string }[]>`
    select d.id from device d join account a on a.id = d.account_id
     where a.instance_id = ${here} and a.id in (select account_id from group_member where group_id = ${groups.few})`;
  const ids = (found: readonly { id: string }[]) => found.map(({ id }) => id).sort();
  const accountsOf = async (conditions: AccountConditions, sort: AccountSort = 'name') =>
    (await walked(accountWalk(sort, conditions), 3)).sort();
  const devicesOf = async (accounts: AccountConditions, sort: DeviceSort = 'id') =>
    (await walked(deviceWalk(sort, { accounts }), 3)).sort();
  for (const sort of accountSorts) {
    assert.deepEqual(await accountsOf({ groupId: groups.few }, sort), ids(members));
    assert.deepEqual(await accountsOf({ within: [groups.few, groups.none] }, sort), ids(members));
    assert.deepEqual(await accountsOf({ within: [] }, sort), []);
    assert.deepEqual(await accountsOf({ groupId: groups.few, within: [groups.none] }, sort), []);
  }
  for (const sort of deviceSorts) {
    assert.deepEqual(await devicesOf({ instanceId: here, within: [groups.few] }, sort), ids(ofThem));
    assert.deepEqual(await devicesOf({ accountId: members[0]?.id ?? '', within: [] }, sort), []);
  }
});

test('devices are found by what they told, capital letters or not, and never by a pattern', limited, async () => {
  const found = async (filter: Partial<DeviceFilter>) => (await walked(deviceWalk('id', filter), 7)).length;
  assert.equal(await found({ model: 'PHONE' }), rows / 2);
  assert.equal(await found({ model: 'p%' }), 0);
  assert.equal(await found({ software: '18.1' }), rows);
  assert.equal(await found({ platform: 'agent' }), 0);
  assert.equal(await found({ state: 'active' }), rows);
  assert.equal(await found({ unanswered: true }), 0);
  assert.equal(await found({ mustEnrolAgain: true }), 0);
  assert.equal(await found({ identityEndsWithinDays: 10_000 }), 0);
});
