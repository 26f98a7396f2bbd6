/**
 * The commands that an administrator may send to a device by hand, checked and written as the device gets them.
 * @see Apple device-management, mdm/commands
 */
import * as z from 'zod';
import { typedText } from '../../api/typed-text.ts';
import { type CommandId, newId } from '../../base/ids.ts';
import { serializePlist } from '../../protocol/plist/serializer.ts';
import type { PlistValue } from '../../protocol/plist/value.ts';

/** The body of `POST /devices/:id/commands`. */
export const operatorCommand = z.discriminatedUnion('requestType', [
  z.object({
    requestType: z.literal('DeviceLock'),
    pin: z
      .string()
      .regex(/^\d{6}$/, 'six digits')
      .optional()
      .describe('New password for a computer.'),
    message: typedText(1000, { lines: true }).optional(),
    phoneNumber: typedText(100).optional(),
  }),
  z.object({
    requestType: z.literal('DeviceInformation'),
    queries: z.array(z.string().min(1).max(100)).min(1).max(200).optional(),
  }),
  z.object({ requestType: z.literal('ProfileList') }),
  z.object({
    requestType: z.literal('InstallProfile'),
    payload: z.base64().min(1).describe('The configuration profile in base64.'),
  }),
  z.object({ requestType: z.literal('RemoveProfile'), identifier: z.string().min(1).max(500) }),
]);
export type OperatorCommand = z.output<typeof operatorCommand>;

const defaultQueries = ['DeviceName', 'OSVersion', 'BuildVersion', 'ModelName', 'ProductName', 'SerialNumber', 'UDID'];

/** A new command with its identifier. What is meant to act at once jumps the queue. */
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
