/** Who goes first, by name and by query: what is found, and what is refused. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import type { InstanceId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { seedDevice, seedDomain } from '../../devices/device-fixture.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { chosenCanaries, findCanaries } from './canaries.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
after(async () => await db.end());
const { here, there } = await seedDomain(db);

async function account(name: string, at: InstanceId, device: { platform: string; version: string; state?: string }) {
  const { deviceId, accountId } = await seedDevice(db, at, name);
  const { platform, version, state = 'active' } = device;
  const column = platform === 'agent' ? 'software_version' : 'os_version';
  await db`update device set platform = ${platform}, state = ${state}, os_version = null where id = ${deviceId}`;
  await db`update device set ${db({ [column]: version })} where id = ${deviceId}`;
  return accountId;
}

const ada = await account('ada', here, { platform: 'apple', version: '17.4.1' });
await account('bea', here, { platform: 'apple', version: '170.0' });
const cora = await account('cora', there, { platform: 'agent', version: '4.0' });
await account('dora', there, { platform: 'agent', version: '4.0', state: 'gone' });
await db`insert into account_group (id, name, rank) values (gen_random_uuid(), 'pilots', 10), (gen_random_uuid(), 'empty', 20)`;
await db`
  insert into group_member (group_id, account_id)
  select g.id, n from account_group g, unnest(${[ada, cora]}::uuid[]) n where g.name = 'pilots'`;
const all = ['ada', 'bea', 'cora', 'dora'].map((name) => ({ name }));

async function chosen(given: object): Promise<string[]> {
  const options = planOptionsSchema.parse(given);
  return chosenCanaries(all, options, await findCanaries(db, options, registeredPlatforms));
}

test('a query finds who has all that is asked for, of each list one; named accounts are added', async () => {
  assert.deepEqual(await chosen({}), []);
  assert.deepEqual(await chosen({ canaryGroups: ['pilots'] }), ['ada', 'cora']);
  assert.deepEqual(await chosen({ canaryGroups: ['pilots'], canaryInstances: ['there'] }), ['cora']);
  assert.deepEqual(await chosen({ canaryInstances: ['here'], canaries: ['dora', 'ada'] }), ['dora', 'ada', 'bea']);
  assert.deepEqual(await chosen({ canaryPlatforms: ['agent'] }), ['cora'], 'a device that is gone does not count');
  assert.deepEqual(await chosen({ canarySoftware: ['17'] }), ['ada'], '170 does not begin with 17');
  assert.deepEqual(await chosen({ canarySoftware: ['17.4', '4.0'] }), ['ada', 'cora']);
  assert.deepEqual(await chosen({ canarySoftware: ['17.4', '4.0'], canaryPlatforms: ['agent'] }), ['cora']);
});

test('what does not exist, is named twice, finds nobody or everybody is refused with what to do', async () => {
  const refused = async (given: object, message: RegExp) =>
    await assert.rejects(chosen(given), { code: 'ERR_UPGRADE_CANARY', message });
  await refused({ canaries: ['nobody'] }, /do not exist: nobody\. Name accounts of this domain/);
  await refused({ canaries: ['ada', 'bea', 'ada'] }, /named twice: ada\. Name each once/);
  await refused({ canaryGroups: ['pilots', 'pilot'] }, /no group pilot\. Name one that exists/);
  await refused({ canaryInstances: ['nowhere'] }, /no instance nowhere\./);
  await refused({ canaryPlatforms: ['acme'] }, /no platform acme\./);
  await refused({ canaryGroups: ['empty'] }, /No account has all that is asked of canaries\. Ask for less/);
  await refused({ canaryInstances: ['here'], canaries: ['cora', 'dora'] }, /All 4 accounts are named or have/);
  await refused({ canaryInstances: ['here', 'there'] }, /All 4 accounts .* nothing would be tried on a few first/);
});
