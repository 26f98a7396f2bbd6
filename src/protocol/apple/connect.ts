/**
 * What a device says when it connects: that it is idle, or how a command went. Invariant: Status and CommandUUID
 * decide. Any other field may be odd or of the wrong type, and is then left out of the result: it never prevents the
 * command from being settled.
 * @see Apple "Device Management", Commands and Queries
 */
import { serializePlist } from '../plist/serializer.ts';
import { defaultPlistLimits, isPlistDictionary, type PlistDictionary, type PlistValue } from '../plist/value.ts';
import type { Enrollment } from './checkin.ts';
import { MessageFields } from './message-fields.ts';

export interface ChainedError {
  /** 0 where the device sent none that is a number. */
  readonly errorCode: number;
  readonly errorDomain: string;
  /** In the device's words; in English if the device sends that. */
  readonly description: string;
}

export type ConnectAnswer = Enrollment & {
  /** The whole answer, such as `QueryResponses` or `ProfileList`. */
  readonly payload: PlistDictionary;
} & (
    | { readonly status: 'Idle' }
    | {
        readonly status: 'Acknowledged' | 'Error' | 'NotNow' | 'CommandFormatError';
        readonly commandUuid: string;
        /** Empty where the device sent none. */
        readonly errorChain: readonly ChainedError[];
      }
  );

const code = 'ERR_CONNECT_MALFORMED';

/** No two of Apple's values differ in letter case alone, so that one in another case can only mean this one. */
const statuses: ReadonlyMap<string, ConnectAnswer['status']> = new Map(
  (['Idle', 'Acknowledged', 'Error', 'NotNow', 'CommandFormatError'] as const).map((status) => [
    status.toLowerCase(),
    status,
  ]),
);

/**
 * @throws BrambleError ERR_CONNECT_MALFORMED where the Status is not known or an answer names no command;
 *   ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE
 */
export function parseConnect(body: Uint8Array): ConnectAnswer {
  const fields = MessageFields.parse(body, code, 'connect', { ...defaultPlistLimits, oddScalars: 'kept' });
  const status = statuses.get(fields.identifier('Status').trim().toLowerCase());
  if (status === undefined) throw fields.malformed('its Status is unknown');
  const common = { ...speakerOf(fields.dictionary), payload: fields.dictionary };
  if (status === 'Idle') return { status, ...common };
  const commandUuid = fields.identifier('CommandUUID').trim();
  return { status, ...common, commandUuid, errorChain: errorsOf(fields.dictionary['ErrorChain']) };
}

/** The sender, as far as it is readable: the identity proves the device in any case. */
function speakerOf(message: PlistDictionary): Enrollment {
  const udid = readable(message['UDID']);
  const enrollmentId = readable(message['EnrollmentID']);
  const userId = readable(message['UserID']) ?? readable(message['EnrollmentUserID']);
  return {
    ...(udid === undefined ? {} : { udid }),
    ...(enrollmentId === undefined ? {} : { enrollmentId }),
    ...(userId === undefined ? {} : { userId }),
  };
}

/** One error may come without its array. */
function errorsOf(chain: PlistValue | undefined): ChainedError[] {
  const errors: readonly PlistValue[] = Array.isArray(chain) ? chain : chain === undefined ? [] : [chain];
  return errors.filter(isPlistDictionary).map((error) => ({
    errorCode: numberOf(error['ErrorCode']),
    errorDomain: readable(error['ErrorDomain']) ?? '',
    description: readable(error['USEnglishDescription']) ?? readable(error['LocalizedDescription']) ?? '',
  }));
}

function readable(value: PlistValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberOf(value: PlistValue | undefined): number {
  const number = typeof value === 'string' || typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : 0;
}

/** A connect body as a device writes it. `payload` holds further fields under Apple's names. */
export function serializeConnect(options: {
  readonly status: ConnectAnswer['status'];
  readonly udid: string;
  readonly commandUuid?: string;
  readonly errorChain?: readonly ChainedError[];
  readonly payload?: PlistDictionary;
}): Buffer {
  const { status, udid, commandUuid, errorChain, payload } = options;
  return Buffer.from(
    serializePlist({
      Status: status,
      UDID: udid,
      ...(commandUuid === undefined ? {} : { CommandUUID: commandUuid }),
      ...(errorChain === undefined ? {} : { ErrorChain: errorChain.map(errorDictionary) }),
      ...payload,
    }),
  );
}

function errorDictionary({ errorCode, errorDomain, description }: ChainedError): PlistDictionary {
  return { ErrorCode: errorCode, ErrorDomain: errorDomain, USEnglishDescription: description };
}
