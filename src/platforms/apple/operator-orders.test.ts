import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { OperatorCommand } from '../../api/device-commands.ts';
import { parseCommand } from '../../protocol/apple/command.ts';
import { appleOperatorOrder } from './operator-orders.ts';

/** What a device reads from the order. */
function readBack(command: OperatorCommand) {
  const commandUuid = randomUUID();
  const order = appleOperatorOrder(command);
  const read = parseCommand(order.write(commandUuid));
  assert.deepEqual([read.commandUuid, read.requestType], [commandUuid, order.requestType]);
  assert.equal(order.requestType, command.requestType);
  return { fields: { ...read.fields }, urgent: order.urgent };
}

test('each command of an operator becomes Apple’s command of that name, with its parameters', () => {
  assert.deepEqual(
    readBack({ requestType: 'DeviceLock', pin: '123456', message: 'Call us', phoneNumber: '+49 30 1234' }),
    { fields: { PIN: '123456', Message: 'Call us', PhoneNumber: '+49 30 1234' }, urgent: true },
  );
  assert.deepEqual(readBack({ requestType: 'DeviceLock' }), { fields: {}, urgent: true });
  assert.deepEqual(readBack({ requestType: 'DeviceInformation', queries: ['OSVersion'] }), {
    fields: { Queries: ['OSVersion'] },
    urgent: false,
  });
  const { Queries } = readBack({ requestType: 'DeviceInformation' }).fields;
  assert.ok(Array.isArray(Queries) && Queries.includes('SerialNumber'));
  assert.deepEqual(readBack({ requestType: 'ProfileList' }), { fields: {}, urgent: false });
  const { fields } = readBack({ requestType: 'InstallProfile', payload: Buffer.from('profile').toString('base64') });
  assert.equal(Buffer.from(fields['Payload'] as Uint8Array).toString(), 'profile');
  assert.deepEqual(readBack({ requestType: 'RemoveProfile', identifier: 'org.example' }), {
    fields: { Identifier: 'org.example' },
    urgent: false,
  });
});
