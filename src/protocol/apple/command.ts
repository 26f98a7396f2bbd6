/**
 * Commands to devices. Invariant: a command keeps its UUID from the queue to the answer; the body depends on nothing
 * but the command, so that the same command is always the same bytes.
 * @see Apple "Device Management", Commands and Queries
 */
import { serializePlist } from '../plist/serializer.ts';
import type { PlistDictionary } from '../plist/value.ts';
import { MessageFields } from './message-fields.ts';

/** The request: `RequestType` and its fields under Apple's names. */
export interface CommandRequest {
  readonly requestType: string;
  readonly fields: PlistDictionary;
}

export interface Command extends CommandRequest {
  readonly commandUuid: string;
}

interface LockOptions {
  /** Six digits, for computers only. */
  readonly pin?: string | undefined;
  readonly message?: string | undefined;
  readonly phoneNumber?: string | undefined;
}

/** Builders, one per request type. */
export const commandRequest = {
  /** `payload`: the bytes of a profile, signed or not. */
  installProfile: (payload: Uint8Array): CommandRequest => ({
    requestType: 'InstallProfile',
    fields: { Payload: payload },
  }),
  /** `identifier`: the profile's PayloadIdentifier. */
  removeProfile: (identifier: string): CommandRequest => ({
    requestType: 'RemoveProfile',
    fields: { Identifier: identifier },
  }),
  profileList: (): CommandRequest => ({ requestType: 'ProfileList', fields: {} }),
  deviceInformation: (queries: readonly string[]): CommandRequest => ({
    requestType: 'DeviceInformation',
    fields: { Queries: queries },
  }),
  securityInfo: (): CommandRequest => ({ requestType: 'SecurityInfo', fields: {} }),
  deviceLock: (options: LockOptions = {}): CommandRequest => ({
    requestType: 'DeviceLock',
    fields: {
      ...(options.pin === undefined ? {} : { PIN: options.pin }),
      ...(options.message === undefined ? {} : { Message: options.message }),
      ...(options.phoneNumber === undefined ? {} : { PhoneNumber: options.phoneNumber }),
    },
  }),
};

/** The body that a device is answered with. @throws BrambleError ERR_PLIST_MALFORMED for text that XML cannot hold */
export function serializeCommand({ commandUuid, requestType, fields }: Command): Buffer {
  return Buffer.from(serializePlist({ Command: { RequestType: requestType, ...fields }, CommandUUID: commandUuid }));
}

/** The device's side. @throws BrambleError ERR_COMMAND_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function parseCommand(body: Uint8Array): Command {
  const outer = MessageFields.parse(body, 'ERR_COMMAND_MALFORMED', 'command');
  const inner = new MessageFields(outer.dictionary['Command'], 'ERR_COMMAND_MALFORMED', 'command');
  const { RequestType: _, ...fields } = inner.dictionary;
  return { commandUuid: outer.identifier('CommandUUID'), requestType: inner.identifier('RequestType'), fields };
}
