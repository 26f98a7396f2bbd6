/**
 * Check-in messages. Invariant: what is returned carries every field that its type must have, each of the right type.
 * @see Apple "Device Management", Check-in
 */
import { serializePlist } from '../plist/serializer.ts';
import type { MutableDictionary, PlistDictionary } from '../plist/value.ts';
import { MessageFields } from './message-fields.ts';

/** The sender: a device by UDID, or a user enrolment by EnrollmentID; with `userId` the user channel. */
export interface Enrollment {
  readonly udid?: string;
  readonly enrollmentId?: string;
  /** Of one user of the device; of a Shared iPad's, `UserID/UserShortName`. */
  readonly userId?: string;
}

/** The one UserID of all users of a Shared iPad: only UserShortName tells them apart. */
export const sharedUserId = 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF';

export type CheckinMessage = Enrollment &
  (
    | {
        readonly messageType: 'Authenticate';
        readonly topic: string;
        readonly model?: string;
        readonly modelName?: string;
        readonly deviceName?: string;
        readonly osVersion?: string;
        readonly buildVersion?: string;
        readonly productName?: string;
        readonly serialNumber?: string;
        /** The whole message. */
        readonly dictionary: PlistDictionary;
      }
    | {
        readonly messageType: 'TokenUpdate';
        readonly channel: 'device' | 'user';
        readonly topic: string;
        readonly token: Uint8Array;
        readonly pushMagic: string;
        readonly unlockToken?: Uint8Array;
        readonly awaitingConfiguration: boolean;
      }
    | { readonly messageType: 'CheckOut'; readonly topic?: string }
    | { readonly messageType: 'SetBootstrapToken'; readonly bootstrapToken?: Uint8Array }
    | { readonly messageType: 'GetBootstrapToken' }
    | { readonly messageType: 'UserAuthenticate'; readonly digestResponse?: string }
    | { readonly messageType: 'DeclarativeManagement'; readonly endpoint: string; readonly data?: Uint8Array }
    | {
        readonly messageType: 'GetToken';
        readonly tokenServiceType: string;
        readonly tokenParameters?: PlistDictionary;
      }
  );

/** @throws BrambleError ERR_CHECKIN_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function parseCheckin(body: Uint8Array): CheckinMessage {
  const fields = MessageFields.parse(body, 'ERR_CHECKIN_MALFORMED', 'check-in');
  const enrollment = readEnrollment(fields);
  const messageType = fields.identifier('MessageType');
  switch (messageType) {
    case 'Authenticate': {
      const texts = compact({
        model: fields.optionalText('Model'),
        modelName: fields.optionalText('ModelName'),
        deviceName: fields.optionalText('DeviceName'),
        osVersion: fields.optionalText('OSVersion'),
        buildVersion: fields.optionalText('BuildVersion'),
        productName: fields.optionalText('ProductName'),
        serialNumber: fields.optionalText('SerialNumber'),
      });
      return { messageType, ...enrollment, topic: fields.identifier('Topic'), ...texts, dictionary: fields.dictionary };
    }
    case 'TokenUpdate':
      return {
        messageType,
        ...enrollment,
        channel: enrollment.userId === undefined ? 'device' : 'user',
        topic: fields.identifier('Topic'),
        token: pushTokenOf(fields),
        pushMagic: fields.identifier('PushMagic'),
        ...compact({ unlockToken: fields.optionalData('UnlockToken') }),
        awaitingConfiguration: fields.optionalBoolean('AwaitingConfiguration') ?? false,
      };
    case 'CheckOut':
      return { messageType, ...enrollment, ...compact({ topic: fields.optionalIdentifier('Topic') }) };
    case 'SetBootstrapToken':
      return { messageType, ...enrollment, ...compact({ bootstrapToken: fields.optionalData('BootstrapToken') }) };
    case 'GetBootstrapToken':
      return { messageType, ...enrollment };
    case 'UserAuthenticate':
      return { messageType, ...enrollment, ...compact({ digestResponse: fields.optionalText('DigestResponse') }) };
    case 'DeclarativeManagement': {
      const data = compact({ data: fields.optionalData('Data') });
      return { messageType, ...enrollment, endpoint: fields.identifier('Endpoint'), ...data };
    }
    case 'GetToken': {
      const parameters = fields.dictionary['TokenParameters'];
      const tokenParameters =
        parameters === undefined
          ? undefined
          : new MessageFields(parameters, 'ERR_CHECKIN_MALFORMED', 'TokenParameters of the check-in').dictionary;
      const tokenServiceType = fields.identifier('TokenServiceType');
      return { messageType, ...enrollment, tokenServiceType, ...compact({ tokenParameters }) };
    }
    default:
      throw fields.malformed('its MessageType is unknown');
  }
}

/** A longer one would not fit into a push's path, and would break the session for all other pushes. */
const maxPushTokenBytes = 256;

function pushTokenOf(fields: MessageFields): Uint8Array {
  const token = fields.data('Token');
  if (token.length === 0 || token.length > maxPushTokenBytes) {
    throw fields.malformed(`Token is empty or longer than ${maxPushTokenBytes} bytes`);
  }
  return token;
}

/**
 * Who a message is from.
 * @throws BrambleError with the code of the fields when neither UDID nor EnrollmentID is there
 */
function readEnrollment(fields: MessageFields): Enrollment {
  const udid = fields.optionalIdentifier('UDID');
  const enrollmentId = fields.optionalIdentifier('EnrollmentID');
  if (udid === undefined && enrollmentId === undefined)
    throw fields.malformed('it has neither a UDID nor an EnrollmentID');
  return compact({ udid, enrollmentId, userId: readUserId(fields) });
}

function readUserId(fields: MessageFields): string | undefined {
  const userId = fields.optionalIdentifier('UserID') ?? fields.optionalIdentifier('EnrollmentUserID');
  if (userId?.toUpperCase() !== sharedUserId) return userId;
  const shortName = fields.optionalIdentifier('UserShortName');
  return shortName === undefined ? sharedUserId : `${sharedUserId}/${shortName}`;
}

/** A check-in body as a device writes it: `MessageType` first, then the given fields under Apple's own names. */
export function serializeCheckin(messageType: CheckinMessage['messageType'], fields: PlistDictionary): Buffer {
  return Buffer.from(serializePlist({ MessageType: messageType, ...fields }));
}

/** The answer to GetBootstrapToken. */
export function serializeBootstrapToken(bootstrapToken: Uint8Array | undefined): Buffer {
  const answer: MutableDictionary = bootstrapToken === undefined ? {} : { BootstrapToken: bootstrapToken };
  return Buffer.from(serializePlist(answer));
}

type Compact<Fields> = { readonly [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` asks. */
function compact<Fields extends object>(fields: Fields): Compact<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Compact<Fields>;
}
