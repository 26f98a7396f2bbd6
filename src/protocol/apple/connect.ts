/**
 * What a device says when it connects: that it is idle, or how a command went.
 * Invariant: every status but Idle names the command it is about.
 * @see Apple "Device Management", Commands and Queries
 */
import { serializePlist } from '../plist/serializer.ts';
import type { PlistDictionary, PlistValue } from '../plist/value.ts';
import { type Enrollment, readEnrollment } from './checkin.ts';
import { MessageFields } from './message-fields.ts';

export interface ChainedError {
  readonly errorCode: number;
  readonly errorDomain: string;
  /** As the device words it; English where the device sends that. */
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

/** @throws BrambleError ERR_CONNECT_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function parseConnect(body: Uint8Array): ConnectAnswer {
  const fields = MessageFields.parse(body, code, 'connect');
  const common = { ...readEnrollment(fields), payload: fields.dictionary };
  const status = fields.identifier('Status');
  switch (status) {
    case 'Idle':
      return { status, ...common };
    case 'Acknowledged':
    case 'Error':
    case 'NotNow':
    case 'CommandFormatError': {
      const errorChain = (fields.optionalArray('ErrorChain') ?? []).map(readError);
      return { status, ...common, commandUuid: fields.identifier('CommandUUID'), errorChain };
    }
    default:
      throw fields.malformed('its Status is not known');
  }
}

function readError(value: PlistValue): ChainedError {
  const fields = new MessageFields(value, code, 'ErrorChain of the connect');
  return {
    errorCode: fields.optionalInteger('ErrorCode') ?? 0,
    errorDomain: fields.optionalText('ErrorDomain') ?? '',
    description: fields.optionalText('USEnglishDescription') ?? fields.optionalText('LocalizedDescription') ?? '',
  };
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
