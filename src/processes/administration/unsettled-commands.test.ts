/** Commands that are not settled, over REST: cancelled, requeued, and shown where nobody answers them. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InstanceId } from '../../base/ids.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedPermits } from '../../devices/device-fixture.ts';
import { startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const { db } = admin;
const [one] = await db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
assert.ok(one);
for (const scope of [one.id, 'domain']) await seedPermits(db, scope, 5);
await seedPermits(db, 'suspects', 1);

/** A device with a budgeted delivery that it was handed `unanswered` times, longer ago than a silent device may have it. */
async function silentDevice(name: string, unanswered: number): Promise<DeviceFixture & { commandId: string }> {
  const device = await seedDevice(db, one?.id as InstanceId, name);
  const { commandId, deliveryId } = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
  await db`update command set state = 'sent', sent_at = now(), unanswered = ${unanswered} where id = ${commandId}`;
  await db`update delivery set state = 'handed-out', handed_out_at = now() - interval '1 hour' where id = ${deliveryId}`;
  await db`
    update delivery_permit p set delivery_id = ${deliveryId}
      from (select distinct on (scope) scope, number from delivery_permit
             where delivery_id is null and scope <> 'suspects' order by scope, number) free
     where p.scope = free.scope and p.number = free.number`;
  return { ...device, commandId };
}
const taken = async () => (await db`select 1 from delivery_permit where delivery_id is not null`).length;
const codeOf = (answer: { body: unknown }) => (answer.body as { code?: unknown }).code;

test('what a device has in hand is cancelled only when that is asked for; its delivery fails and its slots come back', async () => {
  const { commandId, deviceId } = await silentDevice('cancel', 1);
  assert.equal(codeOf(await admin.call('DELETE', `/commands/${commandId}`)), 'ERR_STATE');
  assert.equal(codeOf(await admin.call('DELETE', `/devices/${deviceId}/commands`)), 'ERR_STATE');
  assert.equal(await taken(), 2);
  const cancelled = await admin.call('DELETE', `/devices/${deviceId}/commands?handedOut=true`);
  assert.deepEqual([cancelled.status, cancelled.body], [200, { commands: 1, deliveries: 1 }]);
  assert.equal(await taken(), 0);
  assert.equal(codeOf(await admin.call('DELETE', `/commands/${commandId}?handedOut=true`)), 'ERR_STATE');
  const { body } = await admin.call('GET', '/deliveries?state=failed');
  assert.equal((body as { deliveries: { failure: string }[] }).deliveries[0]?.failure, 'cancelled by an operator');
});

test('status and list show who does not answer and what holds sending, and the command that is named clears it', async () => {
  const { deviceId, commandId } = await silentDevice('mute', 5);
  await silentDevice('quiet', 4);
  await db`update delivery_permit set delivery_id = gen_random_uuid() where scope = 'suspects'`;
  await db`insert into delivery_hold (instance_id, reason) values (${one.id}, 'suspects')`;
  const status = async () => {
    const { body } = await admin.call('GET', '/status');
    const { deliveries, unansweredDevices } = body as {
      deliveries: { heldBySuspects: unknown };
      unansweredDevices: number;
    };
    return [deliveries.heldBySuspects, unansweredDevices];
  };
  const held = { instances: ['one'], silent: 2, clearedBy: 'bramble device requeue --silent' };
  assert.deepEqual(await status(), [held, 1]);
  const listed = await admin.call('GET', '/devices?unanswered=true');
  assert.deepEqual(
    (listed.body as { devices: { id: string; unansweredCommands: number }[] }).devices.map((row) => [
      row.id,
      row.unansweredCommands,
    ]),
    [[deviceId, 1]],
  );
  const requeued = await admin.call('POST', '/commands/requeue-silent');
  assert.deepEqual([requeued.status, requeued.body], [200, { commands: 2, deliveries: 2 }]);
  assert.equal(await taken(), 1, 'but for the suspect of the test');
  await db`update delivery_hold set reason = 'nothing'`;
  assert.deepEqual(await status(), [null, 0]);
  assert.deepEqual((await admin.call('POST', `/commands/${commandId}/requeue`)).body, { commands: 1, deliveries: 0 });
  assert.deepEqual((await admin.call('POST', `/devices/${deviceId}/commands/requeue`)).body, {
    commands: 1,
    deliveries: 0,
  });
  const nobody = '00000000-0000-4000-8000-000000000000';
  for (const [method, path] of [
    ['DELETE', `/devices/${nobody}/commands`],
    ['POST', `/devices/${nobody}/commands/requeue`],
    ['POST', `/commands/${nobody}/requeue`],
  ] as const) {
    assert.equal(codeOf(await admin.call(method, path)), 'ERR_NOT_FOUND', path);
  }
});
