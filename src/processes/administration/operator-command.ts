/**
 * The commands that an administrator may send to a device by hand, checked and written as the device gets them.
 * @see Apple device-management, mdm/commands
 */
import type { OperatorCommand } from '../../api/device-commands.ts';
import { type CommandId, newId } from '../../base/ids.ts';
import { serializePlist } from '../../protocol/plist/serializer.ts';
import type { PlistValue } from '../../protocol/plist/value.ts';

const defaultQueries = ['DeviceName', 'OSVersion', 'BuildVersion', 'ModelName', 'ProductName', 'SerialNumber', 'UDID'];

/** A new command with its identifier. Commands meant to act at once jump the queue. */
export function buildOperatorCommand(command: OperatorCommand): {
  commandId: CommandId;
  requestType: string;
  body: Uint8Array;
  urgent: boolean;
} {
  const commandId = newId<CommandId>();
  const text = serializePlist({
    CommandUUID: commandId,
    Command: { RequestType: command.requestType, ...parametersOf(command) },
  });
  return {
    commandId,
    requestType: command.requestType,
    body: Buffer.from(text),
    urgent: command.requestType === 'DeviceLock',
  };
}

function parametersOf(command: OperatorCommand): Record<string, PlistValue> {
  switch (command.requestType) {
    case 'DeviceLock':
      return {
        ...(command.pin === undefined ? {} : { PIN: command.pin }),
        ...(command.message === undefined ? {} : { Message: command.message }),
        ...(command.phoneNumber === undefined ? {} : { PhoneNumber: command.phoneNumber }),
      };
    case 'DeviceInformation':
      return { Queries: command.queries ?? defaultQueries };
    case 'ProfileList':
      return {};
    case 'InstallProfile':
      return { Payload: Buffer.from(command.payload, 'base64') };
    case 'RemoveProfile':
      return { Identifier: command.identifier };
  }
}
