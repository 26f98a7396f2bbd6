/** Answers to commands, over real HTTP: odd ones are settled, unreadable ones counted. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../../base/ids.ts';
import { queueCommand } from '../../devices/command-queue.ts';
import { commandRequest, parseCommand, serializeCommand } from '../../protocol/apple/command.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import type { PlistDictionary, PlistValue } from '../../protocol/plist/value.ts';
import {
  aspenConnect,
  createDeviceHandlerFixture,
  limited,
  outcome,
  type TestDevice,
} from './device-handler-fixture.ts';

const devices = await createDeviceHandlerFixture();
const { fixture, activeDevice } = devices;
after(devices.close);

/** Queues so many commands for the device. */
async function queueFor(device: TestDevice, count: number): Promise<CommandId[]> {
  const deviceId = await device.deviceId();
  const ids = Array.from({ length: count }, () => newId<CommandId>());
  for (const commandId of ids) {
    const query = commandRequest.profileList();
    const body = serializeCommand({ commandUuid: commandId, ...query });
    await fixture.db.begin((tx) =>
      queueCommand(tx, { commandId, deviceId, requestType: query.requestType, body, urgent: false }),
    );
  }
  return ids;
}

test(
  'whatever an answer holds beside Status and CommandUUID, its command is settled and the next one goes out',
  limited,
  async () => {
    const device = await activeDevice();
    const chain = (ErrorCode: PlistValue) => ({
      ErrorChain: [{ ErrorCode, ErrorDomain: 'd', LocalizedDescription: 'x' }],
    });
    const odd: PlistDictionary[] = [
      chain('12021'),
      chain(12.5),
      chain(2n ** 63n),
      { ErrorChain: { ErrorCode: 1 } },
      { ErrorChain: [{ LocalizedDescription: 'x'.repeat(17 * 1024) }] },
      { ErrorChain: 'a text', UDID: 7, UserID: 7 },
      { QueryResponses: ['no', 'dictionary'], ProfileList: 'no list' },
      { Noise: Array.from({ length: 9 }, () => 'x'.repeat(10_000)) },
    ];
    const ids = await queueFor(device, odd.length);
    let told = await device.connect({ status: 'Idle' });
    for (const [index, payload] of odd.entries()) {
      const commandUuid = parseCommand(told.body).commandUuid;
      assert.equal(commandUuid, ids[index]);
      told = await device.connect({ status: 'Error', commandUuid, payload });
      assert.equal(told.status, 200, JSON.stringify(outcome(told)));
    }
    assert.equal(told.body.length, 0);
    const rows = await fixture.db`
    select state, (answer->>'truncated')::boolean as truncated from command where id = any(${ids}::uuid[]) order by sequence`;
    assert.deepEqual(
      rows.map((row) => [row['state'], row['truncated']]),
      odd.map((_, index) => ['error', index === 4 || index === 7 ? true : null]),
    );
  },
);

test(
  'a device that answers nothing that can be read is refused, until its command is given up and the next goes out',
  limited,
  async () => {
    const device = await activeDevice();
    const [first, second] = await queueFor(device, 2);
    const unreadable = [
      Buffer.from('no plist'),
      serializeConnect({ status: 'Busy' as never, udid: device.udid, commandUuid: first ?? '' }),
      serializeConnect({ status: 'Error', udid: device.udid, payload: { CommandUUID: 5 } }),
      Buffer.from(`<plist version="1.0">${'<array>'.repeat(40)}${'</array>'.repeat(40)}</plist>`),
    ];
    assert.equal(parseCommand((await device.connect({ status: 'Idle' })).body).commandUuid, first);
    for (let times = 1; times <= 9; times++) {
      const body = unreadable[times % unreadable.length] ?? Buffer.alloc(0);
      assert.equal((await device.put(device.paths.connect, aspenConnect, body)).status, 400);
    }
    const served = await device.put(device.paths.connect, aspenConnect, unreadable[0] ?? Buffer.alloc(0));
    assert.equal(served.status, 200);
    assert.equal(parseCommand(served.body).commandUuid, second);
    const [row] = await fixture.db`select state, answer from command where id = ${first ?? ''}`;
    assert.equal(row?.['state'], 'error');
    assert.match(JSON.stringify(row?.['answer']), /cannot be read/);
  },
);

test('nothing else of all this was answered 401 or 403, which would make a device leave', () => {
  devices.assertNoneMadeToLeave(20);
});
