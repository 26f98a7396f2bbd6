/** What the messages of Apple's devices mean to the core. @see Apple "Device Management", Check-in, Commands and Queries */
import { type CheckinMessage, parseCheckin, sharedUserId } from '../../protocol/apple/checkin.ts';
import { type ConnectAnswer, parseConnect } from '../../protocol/apple/connect.ts';
import { deviceOptionQueries } from '../../protocol/apple/device-information.ts';
import { isPlistDictionary } from '../../protocol/plist/value.ts';
import type { Announcement, CommandAnswer, CommandReport, DeviceUser } from '../device-message.ts';

const optionNames = new Set(deviceOptionQueries);
const essentials = ['Status', 'CommandUUID', 'ErrorChain'];
const meaning = {
  Acknowledged: 'done',
  Error: 'failed',
  CommandFormatError: 'failed',
  NotNow: 'later',
} as const satisfies Record<Exclude<ConnectAnswer['status'], 'Idle'>, CommandAnswer['status']>;

/** @throws BrambleError ERR_CONNECT_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function readReport(body: Uint8Array): CommandReport {
  return reportOf(parseConnect(body));
}

export function reportOf(answer: ConnectAnswer): CommandReport {
  const { udid, enrollmentId, userId } = answer;
  const deviceName = udid ?? enrollmentId ?? null;
  const onUserChannel = userId !== undefined;
  if (answer.status === 'Idle') return { status: 'idle', deviceName, onUserChannel };
  const { status, commandUuid, payload } = answer;
  const responses = payload['QueryResponses'];
  return {
    status: meaning[status],
    deviceName,
    onUserChannel,
    commandId: commandUuid,
    answer: payload,
    essentials,
    bareAnswer: { Status: status },
    inventory: status === 'Acknowledged' && isPlistDictionary(responses) ? responses : null,
    inventoryRequest: 'DeviceInformation',
    optionNames,
  };
}

/** @throws BrambleError ERR_CHECKIN_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function readAnnouncement(body: Uint8Array): Announcement {
  return announcementOf(parseCheckin(body));
}

function announcementOf(message: CheckinMessage): Announcement {
  const { udid: hardwareId = null, enrollmentId: enrolmentId = null } = message;
  const names = { hardwareId, enrolmentId };
  switch (message.messageType) {
    case 'Authenticate':
      return { kind: 'enrols', names, channel: message.topic, facts: factsOf(message) };
    case 'TokenUpdate': {
      const { token, pushMagic: secret, topic: channel, unlockToken: unlockSecret = null } = message;
      return { kind: 'wake-address', names, user: userOf(message), address: { token, secret, channel }, unlockSecret };
    }
    case 'CheckOut':
      return { kind: 'leaves', names, user: userOf(message) };
    case 'SetBootstrapToken':
      return { kind: 'keeps-secret', names, secret: message.bootstrapToken ?? null };
    case 'GetBootstrapToken':
      return { kind: 'fetches-secret', names };
    case 'UserAuthenticate':
      // The device does not ask again for this login, and manages the user without a channel. @see Apple,
      // UserAuthenticate
      return { kind: 'not-served', names, status: 410, reason: 'users of a directory are not managed' };
    case 'DeclarativeManagement':
      return { kind: 'not-served', names, status: 404, reason: 'declarative management is not supported' };
    case 'GetToken':
      return { kind: 'not-served', names, status: 400, reason: 'this token service is unknown' };
  }
}

function factsOf(message: Extract<CheckinMessage, { messageType: 'Authenticate' }>) {
  const software = message.dictionary['DeviceSoftware'];
  return {
    serialNumber: message.serialNumber ?? null,
    model: message.modelName ?? message.model ?? null,
    product: message.productName ?? null,
    osVersion: message.osVersion ?? null,
    softwareVersion: typeof software === 'string' ? software.slice(0, 200) : null,
  };
}

/** All users of a Shared iPad have one UserID, under which release 1.1 kept the last of them. */
function userOf({ userId }: CheckinMessage): DeviceUser | null {
  if (userId === undefined) return null;
  return { id: userId, formerId: userId.startsWith(`${sharedUserId}/`) ? sharedUserId : null };
}
