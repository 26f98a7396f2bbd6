/**
 * The commands that an administrator may send by hand, as property lists.
 * @see Apple device-management, mdm/commands
 */
import type { OperatorCommand } from '../../api/device-commands.ts';
import { type CommandRequest, commandRequest, serializeCommand } from '../../protocol/apple/command.ts';
import type { OperatorOrder } from '../operator-order.ts';

const defaultQueries = ['DeviceName', 'OSVersion', 'BuildVersion', 'ModelName', 'ProductName', 'SerialNumber', 'UDID'];

export function appleOperatorOrder(command: OperatorCommand): OperatorOrder {
  const request = requestOf(command);
  return {
    requestType: request.requestType,
    urgent: command.requestType === 'DeviceLock',
    write: (commandUuid) => serializeCommand({ commandUuid, ...request }),
  };
}

function requestOf(command: OperatorCommand): CommandRequest {
  switch (command.requestType) {
    case 'DeviceLock':
      return commandRequest.deviceLock(command);
    case 'DeviceInformation':
      return commandRequest.deviceInformation(command.queries ?? defaultQueries);
    case 'ProfileList':
      return commandRequest.profileList();
    case 'InstallProfile':
      return commandRequest.installProfile(Buffer.from(command.payload, 'base64'));
    case 'RemoveProfile':
      return commandRequest.removeProfile(command.identifier);
  }
}
