/**
 * Checks the sender of a message, as the connect statement does, for messages that do not reach that statement.
 *
 * Invariant: none of these answers makes a device leave management.
 */

import type { FencedOutcome } from '../../accounts/account-fence.ts';
import { patientWithMoves } from '../../accounts/moving-patience.ts';
import { wasIssuedTo } from '../../activation/unknown-identity.ts';
import { BrambleError } from '../../base/errors.ts';
import type { DeviceId } from '../../base/ids.ts';
import { type EnrolledDevice, findDeviceByToken } from '../../devices/device-store.ts';
import { belongToOneEnrolment, readIdentityRole, startUsingIdentity } from '../../devices/identity-renewal.ts';
import type { AddressRule, DeviceProtocol } from '../../platforms/protocol.ts';
import {
  anotherEnrolment,
  type DeviceAnswer,
  moving,
  notOwner,
  tlsRequired,
  unknownDevice,
  wrongIdentity,
} from './device-answer.ts';
import { type Proven, proveIdentity, type RequestWay } from './device-identity.ts';
import { type DeviceRequest, readBody } from './request-body.ts';
import type { DeviceHandlerOptions } from './serving.ts';

/** A request at the address of a device. */
export interface Incoming {
  readonly request: DeviceRequest;
  readonly rule: AddressRule;
  readonly protocol: DeviceProtocol;
  readonly token: string;
  readonly way: RequestWay;
}

/** The address determines the kind of message: some clients send another content type, or none. */
export async function readMessage({ request, rule }: Incoming): Promise<Buffer> {
  if (request.method !== 'PUT' && request.method !== 'POST') {
    throw new BrambleError('ERR_INPUT', `Send device messages with PUT, not ${request.method}.`);
  }
  return await readBody(request, rule);
}

/**
 * A connection may have been opened with the identity from before a renewal, or have outlived it.
 * @throws BrambleError as {@link proveIdentity}; ERR_IDENTITY_MISMATCH where two certificates are not of one enrolment
 */
export async function provenIdentity(
  options: DeviceHandlerOptions,
  { request, protocol, token, way }: Incoming,
  body: Buffer,
): Promise<Proven> {
  const proven = proveIdentity(protocol, request, body, { way, keys: options.certificateKeys });
  const { fingerprint, otherInTls } = proven;
  if (otherInTls === undefined || (await belongToOneEnrolment(options.db, token, [fingerprint, otherInTls])))
    return proven;
  throw new BrambleError(
    'ERR_IDENTITY_MISMATCH',
    'The request is signed with a certificate other than that of its TLS connection.',
  );
}

/**
 * The enrolment of a token. If the request proves the next identity, that becomes the current one; if it proves the
 * previous one, or one that was issued to the device and is in no row, it is refused and an event reports it, since it
 * may be all that the device has.
 */
export async function identifiedDevice(
  options: DeviceHandlerOptions,
  token: string,
  { fingerprint, certificateDer }: Pick<Proven, 'fingerprint' | 'certificateDer'>,
): Promise<FencedOutcome<EnrolledDevice | 'not-found'>> {
  const { db, instanceId, movingPatienceMs } = options;
  const device = await findDeviceByToken(db, token);
  if (device === 'not-found' || device.fingerprint === fingerprint) return { kind: 'done', value: device };
  const role = await readIdentityRole(db, device.deviceId, fingerprint);
  if (role === 'former') noteFormerIdentity(options, device.deviceId);
  if (role === 'none' && wasIssuedTo(device.deviceId, certificateDer, await options.identityIssuers())) {
    noteUnknownIdentity(options, device.deviceId);
  }
  if (role === 'former' || role === 'none') return { kind: 'done', value: device };
  if (role === 'new') {
    const use = () => startUsingIdentity(db, instanceId, device, fingerprint);
    const used = await patientWithMoves(use, movingPatienceMs);
    if (used.kind !== 'done') return used;
  }
  return { kind: 'done', value: await findDeviceByToken(db, token) };
}

/** Before a large body is read: a stranger can prove a key too, and reading a MiB takes tens of milliseconds. */
export async function refusalOfSender(
  options: DeviceHandlerOptions,
  token: string,
  proven: Pick<Proven, 'fingerprint' | 'overTls' | 'certificateDer'>,
): Promise<DeviceAnswer | undefined> {
  const identified = await identifiedDevice(options, token, proven);
  if (identified.kind !== 'done') return refusalOfFence(identified);
  return identified.value === 'not-found' ? unknownDevice : refusalOf(options, identified.value, proven);
}

export function refusalOfFence(outcome: Exclude<FencedOutcome<unknown>, { kind: 'done' }>): DeviceAnswer {
  return outcome.kind === 'not-owner' ? notOwner(outcome.owner) : moving;
}

/** The same rule as in the connect statement. */
export function refusalOf(
  options: DeviceHandlerOptions,
  device: EnrolledDevice,
  proven: Pick<Proven, 'fingerprint' | 'overTls'>,
): DeviceAnswer | undefined {
  if (device.fingerprint !== proven.fingerprint) return wrongIdentity;
  return device.tlsRequired && !proven.overTls ? refuseWithoutTls(options, device.deviceId) : undefined;
}

function noteFormerIdentity(options: DeviceHandlerOptions, deviceId: DeviceId): void {
  options.notices.note(
    'device-former-identity',
    deviceId,
    `A message of the device ${deviceId} was refused: it used the identity that the device had before its renewal. ` +
      'Either a captured message is being replayed, or the device was restored from an older backup and must ' +
      'enrol again.',
  );
}

function noteUnknownIdentity(options: DeviceHandlerOptions, deviceId: DeviceId): void {
  options.notices.note(
    'device-unknown-identity',
    deviceId,
    `A message of the device ${deviceId} was refused: it used an identity that was issued to the device but is not, ` +
      'or no longer, in the database. If the database was restored from a backup, the device had renewed its ' +
      'identity after the backup; otherwise it uses one that is older than its last two. It must enrol again.',
  );
}

export function refuseWithoutTls(options: DeviceHandlerOptions, deviceId: DeviceId): DeviceAnswer {
  options.notices.note(
    'device-without-tls',
    deviceId,
    `A message of the device ${deviceId} was refused: it was signed, but the device did not present its certificate ` +
      'in TLS as it had on three days. If a proxy in front of the router now terminates TLS: `bramble device ' +
      'clear-tls --all`; otherwise a captured message is being replayed.',
  );
  return tlsRequired;
}

export function refuseAnotherEnrolment(options: DeviceHandlerOptions, deviceId: DeviceId): DeviceAnswer {
  options.notices.note(
    'device-names-another',
    deviceId,
    `The device ${deviceId} was refused: its key is valid, but it names a hardware identifier that is not that of its ` +
      'enrolment. If it was restored from a copy of another device, activate it again.',
  );
  return anotherEnrolment;
}
