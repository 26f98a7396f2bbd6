/** For tests: devices that announce themselves, straight to the function that handles them. */
import assert from 'node:assert/strict';
import type { InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { readDomain } from '../domain/domain.ts';
import { readAnnouncement } from '../platforms/apple/messages.ts';
import { type CheckinMessage, serializeCheckin } from '../protocol/apple/checkin.ts';
import type { PlistDictionary } from '../protocol/plist/value.ts';
import { type AnnouncementOptions, takeAnnouncement } from './announcements.ts';
import { type DeviceFixture, seedDevice } from './device-fixture.ts';
import { type EnrolledDevice, findDeviceByToken } from './device-store.ts';

export const testTopic = 'com.apple.mgmt.test';

export function createAnnouncementScene(db: Database, here: InstanceId) {
  const keys = createMasterKeys();
  const activated: string[] = [];
  const returned: string[] = [];
  const options: AnnouncementOptions = {
    ...{ db, instanceId: here, keys, wakeChannel: async (tx) => (await readDomain(tx)).wakeChannel },
    onActivated: async (_tx, device) => activated.push(device.deviceId),
    onReturned: async (_tx, device) => returned.push(device.deviceId),
  };
  const enrolled = async (device: DeviceFixture): Promise<EnrolledDevice> => {
    const found = await findDeviceByToken(db, device.token);
    assert.ok(found !== 'not-found');
    return found;
  };
  const send = async (
    device: DeviceFixture,
    messageType: CheckinMessage['messageType'],
    fields: PlistDictionary = {},
    change: Partial<AnnouncementOptions> = {},
  ) => {
    const message = readAnnouncement(serializeCheckin(messageType, { UDID: device.enrolment, ...fields }));
    return await takeAnnouncement({ ...options, ...change }, await enrolled(device), message);
  };
  return {
    options,
    keys,
    /** Devices that became active, in order. */
    activated,
    /** Devices that became active again. */
    returned,
    enrolled,
    send,
    authenticate: (device: DeviceFixture, fields: PlistDictionary = {}) =>
      send(device, 'Authenticate', { Topic: testTopic, ...fields }),
    updateToken: (device: DeviceFixture, fields: PlistDictionary = {}) =>
      send(device, 'TokenUpdate', { Topic: testTopic, Token: Buffer.from('token'), PushMagic: 'magic', ...fields }),
    /** A device of an account of its own; `certified` has named no UDID yet. */
    newDevice: async (name: string, state = 'certified'): Promise<DeviceFixture> => {
      const device = await seedDevice(db, here, name);
      await db`
        update device set state = ${state}, udid = ${state === 'certified' ? null : device.enrolment}
         where id = ${device.deviceId}`;
      return device;
    },
  };
}
