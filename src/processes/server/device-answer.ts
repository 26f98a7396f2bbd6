/**
 * The answers on device addresses, in one place, because a wrong status loses devices: some statuses, such as 401 and
 * 403, make a device leave management. A failed identity is 400, another owner 421, an error on our side 503. Only a
 * device that is meant to leave is told to, by the status that its protocol has for it.
 */
import type { ErrorCode } from '../../base/error-codes.ts';
import { isBrambleError } from '../../base/errors.ts';
import type { SrpIdentifier } from '../../base/ids.ts';
import { sqlState } from '../../database/sql-state.ts';
import type { DeviceProtocol } from '../../platforms/protocol.ts';

export interface DeviceAnswer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
  /** For the log and for metrics. */
  code: ErrorCode | null;
}

export const emptyAnswer: DeviceAnswer = { status: 200, headers: {}, body: '', code: null };

/** A command or a secret, in the protocol's form. */
export function messageAnswer({ contentType }: Pick<DeviceProtocol, 'contentType'>, body: Buffer): DeviceAnswer {
  return { status: 200, headers: { 'content-type': contentType }, body, code: null };
}

export function errorAnswer(
  status: number,
  code: ErrorCode,
  message: string,
  headers: Record<string, string> = {},
): DeviceAnswer {
  const body = JSON.stringify({ code, message });
  return { status, headers: { 'content-type': 'application/json', ...headers }, body, code };
}

export function notOwner(owner: SrpIdentifier): DeviceAnswer {
  const message = 'Another server instance serves this account.';
  return errorAnswer(421, 'ERR_NOT_OWNER', message, { 'bramble-owner': owner });
}

export function retryLaterAnswer(code: ErrorCode, message: string): DeviceAnswer {
  return errorAnswer(503, code, message, { 'retry-after': '2' });
}

export const moving = retryLaterAnswer('ERR_ACCOUNT_MOVING', 'The account is being moved; retry later.');
export const unknownDevice = errorAnswer(400, 'ERR_UNKNOWN_DEVICE', 'No enrolment has this address.');
export const wrongIdentity = errorAnswer(
  400,
  'ERR_WRONG_IDENTITY',
  'The certificate does not belong to this enrolment.',
);
export const notActive = errorAnswer(
  400,
  'ERR_NOT_ENROLLED',
  'This enrolment is not active. Activate the device again.',
);

export const anotherEnrolment = errorAnswer(
  400,
  'ERR_ANOTHER_ENROLMENT',
  'The message names another device than this enrolment. Only the beginning of an enrolment may change the name.',
);
export const tlsRequired = errorAnswer(
  400,
  'ERR_TLS_IDENTITY_REQUIRED',
  'This enrolment must present its certificate in TLS: a signature alone could be a replay.',
);

/**
 * For a device that an administrator removed, and whose key was proven: the only answer that makes a device leave. Sent
 * deliberately, never because something failed.
 */
export function leaveManagement({ leaveStatus }: Pick<DeviceProtocol, 'leaveStatus'>): DeviceAnswer {
  return errorAnswer(leaveStatus, 'ERR_REMOVED', 'An administrator has removed this device from management.');
}

/** Codes for errors of the device, whatever its protocol; everything else is an error on our side and answered 503. */
const deviceFaultCodes: ReadonlySet<string> = new Set([
  'ERR_SIGNATURE_INVALID',
  'ERR_IDENTITY_MISSING',
  'ERR_IDENTITY_MISMATCH',
  'ERR_CLIENT_CERT_HEADER',
  'ERR_SCEP_MALFORMED',
  'ERR_SCEP_BAD_REQUEST',
  'ERR_SCEP_BAD_MESSAGE_CHECK',
  'ERR_DER_MALFORMED',
  'ERR_ENVELOPE_UNREADABLE',
  'ERR_ALGORITHM_UNSUPPORTED',
  'ERR_INPUT',
]);

/** The answer to a failure: never a stack, never 401 or 403. @param faults further codes for errors of the device */
export function answerOfError(error: unknown, faults?: ReadonlySet<ErrorCode>): DeviceAnswer {
  if (isBrambleError(error)) {
    if (error.code === 'ERR_BODY_TOO_LARGE') return errorAnswer(413, error.code, error.message);
    if (error.code === 'ERR_CONTENT_TYPE') return errorAnswer(415, error.code, error.message);
    if (deviceFaultCodes.has(error.code) || faults?.has(error.code) === true)
      return errorAnswer(400, error.code, error.message);
    return retryLaterAnswer(error.code, 'Internal error: retry later.');
  }
  if (sqlState(error)?.startsWith('22') === true) {
    return errorAnswer(400, 'ERR_INPUT', 'The message contains text that cannot be stored, such as a NUL character.');
  }
  return retryLaterAnswer('ERR_INTERNAL', 'Internal error: retry later.');
}
