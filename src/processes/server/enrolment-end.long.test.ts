/** Suspended and removed enrolments, over real HTTP: who is served, refused, and told to leave. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../../base/ids.ts';
import { removeDevice } from '../../devices/device-removal.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import { aspenConnect, createDeviceHandlerFixture, limited, outcome } from './device-handler-fixture.ts';

const devices = await createDeviceHandlerFixture();
const { fixture, newDevice, activeDevice } = devices;
after(devices.close);

test(
  'a suspended enrolment is served again when its key answers, with what it was not owed meanwhile',
  limited,
  async () => {
    const device = await activeDevice();
    const deviceId = await device.deviceId();
    const newcomer = await newDevice();
    assert.equal((await newcomer.checkin('Authenticate', { UDID: device.udid })).status, 200);
    const open = async () =>
      (await fixture.db`select 1 from delivery where device_id = ${deviceId} and state = 'owed'`).length;
    assert.equal(await open(), 0);
    const user = await device.connect({ status: 'Idle', payload: { UserID: 'anna' } });
    assert.deepEqual(outcome(user), [400, 'ERR_NOT_ENROLLED'], 'a user channel proves nothing that a device would');
    assert.equal((await device.connect({ status: 'Idle' })).status, 200);
    assert.ok((await open()) > 0);
    assert.deepEqual(await fixture.eventsOf(deviceId), ['device-suspended', 'device-contested']);
  },
);

async function removed(tell: boolean) {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const command = {
    commandId: newId<CommandId>(),
    requestType: 'RemoveProfile',
    body: Buffer.from('remove the profile'),
  };
  const remove = () => fixture.db.begin((tx) => removeDevice(tx, { deviceId, tell, command }));
  assert.equal((await remove()).kind, tell ? 'leaving' : 'ended');
  const state = async () => (await fixture.db`select state from device where id = ${deviceId}`)[0]?.['state'];
  return { device, deviceId, command, state };
}

test(
  'a device that is told to leave gets that before all else, and its enrolment ends with its answer',
  limited,
  async () => {
    for (const status of ['Acknowledged', 'Error'] as const) {
      const { device, command, state } = await removed(true);
      assert.equal((await device.connect({ status: 'Idle' })).body.toString(), 'remove the profile');
      const notNow = await device.connect({ status: 'NotNow', commandUuid: command.commandId });
      assert.deepEqual([notNow.status, await state()], [200, 'active']);
      assert.equal((await device.connect({ status, commandUuid: command.commandId })).status, 200);
      assert.equal(await state(), 'gone');
      assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [401, 'ERR_REMOVED'], 'should it come again');
      assert.deepEqual(outcome(await device.checkin('Authenticate')), [401, 'ERR_REMOVED']);
      const other = await activeDevice();
      const idle = serializeConnect({ status: 'Idle', udid: device.udid });
      const stranger = await other.put(device.paths.connect, aspenConnect, idle);
      assert.deepEqual(outcome(stranger), [400, 'ERR_WRONG_IDENTITY'], 'only its own key is told');
    }
  },
);

test('one that is removed silently is refused as any that is not enrolled, and does not leave', limited, async () => {
  const { device, state } = await removed(false);
  assert.equal(await state(), 'gone');
  assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_NOT_ENROLLED']);
  assert.deepEqual(outcome(await device.checkin('Authenticate')), [400, 'ERR_NOT_ENROLLED']);
});

test('one that enrols anew instead of leaving is told to leave', limited, async () => {
  const { device } = await removed(true);
  assert.deepEqual(outcome(await device.checkin('Authenticate')), [401, 'ERR_REMOVED']);
});

test('nothing else of all this was answered 401 or 403, which would make a device leave', () => {
  devices.assertNoneMadeToLeave(20);
});
