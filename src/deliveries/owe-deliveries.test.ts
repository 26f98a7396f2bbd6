import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { isBrambleError } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import { accountItems } from '../devices/delivery-items.ts';
import { itemsOwedTo } from '../devices/delivery-items-fixture.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { addAccount, addDevice, addInstance, openFleet } from '../policies/fleet-fixture.ts';
import { endingWithin } from '../testing/property.ts';
import { oweDeliveries } from './owe-deliveries.ts';

const fleet = await openFleet();
const db: Database = fleet.db;
const instance = await addInstance(db, 1);
after(() => fleet.close());

test('every active device of the accounts is owed what it can take, and devices in other states nothing', async () => {
  const [first, second] = [await addAccount(db, instance.id), await addAccount(db, instance.id)];
  const phone = await addDevice(db, first);
  const oldAgent = await addDevice(db, second, { platform: 'agent', softwareVersion: '3.9' });
  const newAgent = await addDevice(db, second, { platform: 'agent', softwareVersion: '4.2' });
  await addDevice(db, second, { state: 'gone' });
  await addDevice(db, second, { state: 'certified' });
  const owed = await oweDeliveries(db, registeredPlatforms, {
    accountIds: [first, second, first],
    cause: 'move',
    budgeted: true,
  });
  const itemsOf = (id: string) => owed.filter(({ deviceId }) => deviceId === id).map(({ item }) => item);
  assert.deepEqual(itemsOf(phone.id), accountItems);
  assert.deepEqual(itemsOf(oldAgent.id), ['it-policy']);
  assert.deepEqual(itemsOf(newAgent.id), accountItems);
  assert.equal(owed.length, 7);
});

test('what is owed again is the same debt with the newest cause, and stays unbudgeted once asked for by hand', async () => {
  const device = await addDevice(db, await addAccount(db, instance.id));
  const owe = async (cause: 'move' | 'manual' | 'policy-change', budgeted: boolean, moveId?: string) => {
    const [row, ...others] = await oweDeliveries(db, registeredPlatforms, {
      deviceIds: [device.id],
      cause,
      budgeted,
      items: ['it-policy'],
      ...(moveId === undefined ? {} : { moveId }),
    });
    assert.deepEqual(others, []);
    const [stored] = await db`select id, cause, budgeted, move_id from delivery where device_id = ${device.id}`;
    assert.equal(stored?.['id'], row?.id);
    return [stored?.['cause'], stored?.['budgeted'], stored?.['move_id']];
  };
  const moveId = randomUUID();
  assert.deepEqual(await owe('policy-change', true), ['policy-change', true, null]);
  assert.deepEqual(await owe('move', true, moveId), ['move', true, moveId]);
  assert.deepEqual(await owe('manual', false), ['manual', false, moveId]);
  assert.deepEqual(await owe('policy-change', true), ['policy-change', false, moveId]);
});

test('accounts or devices are named, not both and not neither', async () => {
  const debt = { cause: 'manual', budgeted: false } as const;
  const refused = (error: unknown) => isBrambleError(error, 'ERR_DELIVERY_TARGET');
  await assert.rejects(oweDeliveries(db, registeredPlatforms, debt), refused);
  await assert.rejects(oweDeliveries(db, registeredPlatforms, { ...debt, accountIds: [], deviceIds: [] }), refused);
  assert.deepEqual(await oweDeliveries(db, registeredPlatforms, { ...debt, accountIds: [] }), []);
});

test('the database and the compiler agree on which items a device takes, whatever its version', async () => {
  const part = fc.integer({ min: 0, max: 12 }).map(String);
  const version = fc.oneof(
    fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.')),
    fc.constantFrom('', 'beta', '4.', ' 4.0 ', '4.0-beta', 'v4', '3.9.99', '4', '04.1'),
    fc.constant(null),
  );
  await fc.assert(
    fc.asyncProperty(
      version,
      fc.constantFrom('apple' as const, 'agent' as const),
      async (softwareVersion, platform) => {
        const accountId = await addAccount(db, instance.id);
        const device = await addDevice(db, accountId, { platform });
        await db`update device set software_version = ${softwareVersion} where id = ${device.id}`;
        const owed = await oweDeliveries(db, registeredPlatforms, {
          accountIds: [accountId],
          cause: 'move',
          budgeted: true,
        });
        assert.deepEqual(
          owed.map(({ item }) => item),
          itemsOwedTo(registeredPlatforms, { platform, softwareVersion }),
        );
      },
    ),
    { numRuns: 60, ...endingWithin() },
  );
});
