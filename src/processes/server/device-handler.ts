/**
 * The HTTP handler of a server instance for device addresses:
 *
 *   PUT  /mdm/<token>/checkin   check-in         PUT /mdm/<token>/connect   commands and their answers
 *   GET|POST /scep/<token>      identities       POST /activate             enrolment profiles
 *
 * Invariant: a client-certificate header is believed only where `trusted` says so (the link, or a configured proxy).
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { FencedOutcome } from '../../accounts/account-fence.ts';
import { wasIssuedTo } from '../../activation/unknown-identity.ts';
import type { Clock } from '../../base/clock.ts';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import type { DeviceId, InstanceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import { type CheckinOptions, checkIn, resumeSuspended } from '../../devices/checkin.ts';
import type { ConnectBatcher } from '../../devices/connect-batch.ts';
import { connectRequestOf } from '../../devices/connect-request.ts';
import type { ConnectOutcome, ConnectRequest } from '../../devices/connect-statement.ts';
import { finishRemovals } from '../../devices/device-removal.ts';
import { type EnrolledDevice, findDeviceByToken } from '../../devices/device-store.ts';
import { areOfOneEnrolment, beginToUse, standingOf } from '../../devices/identity-renewal.ts';
import { noteUnreadableAnswer } from '../../devices/unreadable-answer.ts';
import {
  type DeviceAddress,
  type DeviceAddressKind,
  deviceAddressOf,
  urlBytesAtMost,
  urlTooLargeText,
} from '../../link/device-address.ts';
import { parseCheckin, serializeBootstrapToken } from '../../protocol/apple/checkin.ts';
import { type ConnectAnswer, parseConnect } from '../../protocol/apple/connect.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import {
  anotherEnrolment,
  answerOfError,
  type DeviceAnswer,
  emptyAnswer,
  errorAnswer,
  leaveManagement,
  moving,
  notActive,
  notOwner,
  plistAnswer,
  tlsRequired,
  unknownDevice,
  wrongIdentity,
} from './device-answer.ts';
import { noteIdentity, type Proven, proveIdentity, type RequestWay, remoteAddressOf } from './device-identity.ts';
import type { DeviceNotices } from './device-notices.ts';
import type { IdentityUse } from './identity-use.ts';
import { createLargeMessages, type LargeMessages, largeFromBytes } from './large-messages.ts';
import { answerActivation, answerScep, type NewcomerOptions } from './newcomer-answers.ts';
import { type DeviceRequest, readBody } from './request-body.ts';
import type { RequestSamples } from './request-samples.ts';

export type DeviceResponse = ServerResponse | Http2ServerResponse;

export interface DeviceHandlerOptions extends NewcomerOptions {
  db: Database;
  instanceId: InstanceId;
  checkin: CheckinOptions;
  connects: ConnectBatcher;
  samples: RequestSamples;
  notices: DeviceNotices;
  certificateKeys: CertificateKeys;
  /** The certificate of the authority that issues device identities. */
  deviceAuthorityDer: Uint8Array;
  clock: Clock;
  identityUse: IdentityUse;
  /** Called with each answer, for metrics. */
  onAnswer: (kind: DeviceAddressKind, answer: DeviceAnswer, latencyMs: number) => void;
}

interface Serving extends DeviceHandlerOptions {
  largeMessages: LargeMessages;
}

/** A request listener; the way says whether the peer may name the device's certificate in a header. */
export function createDeviceHandler(
  handlerOptions: DeviceHandlerOptions,
): (request: DeviceRequest, response: DeviceResponse, way: RequestWay) => void {
  const options: Serving = { ...handlerOptions, largeMessages: createLargeMessages(handlerOptions.clock) };
  return (request, response, way) => {
    const startedAt = performance.now();
    const address = deviceAddressOf(request.url ?? '/');
    void answer(options, request, address, way)
      .catch((error: unknown) => {
        const failed = answerOfError(error);
        const from = remoteAddressOf(request, way);
        const fields = { path: address.kind, address: from, code: failed.code, reason: messageOf(error) };
        if (failed.status >= 500) {
          options.log.error({ ...fields, err: error }, 'request failed');
          if (address.kind === 'connect') countFailure(options, address.token, performance.now() - startedAt);
        } else options.log.info(fields, 'request refused');
        return failed;
      })
      .then((result) => {
        send(response, result);
        options.onAnswer(address.kind, result, performance.now() - startedAt);
      })
      // An answer that cannot be written concerns one request; unheard, it would end the process.
      .catch((error: unknown) => options.log.error({ reason: messageOf(error) }, 'an answer could not be written'));
  };
}

async function answer(
  options: Serving,
  request: DeviceRequest,
  address: DeviceAddress,
  way: RequestWay,
): Promise<DeviceAnswer> {
  if ((request.url?.length ?? 0) > urlBytesAtMost) return errorAnswer(413, 'ERR_BODY_TOO_LARGE', urlTooLargeText);
  switch (address.kind) {
    case 'connect':
      return await answerConnect(options, request, address.token, way);
    case 'checkin':
      return await answerCheckin(options, request, address.token, way);
    case 'scep':
      return await answerScep(options, request, address.token, way);
    case 'activate':
      return await answerActivation(options, request, way);
    case 'no-token':
    case 'other':
      return errorAnswer(404, 'ERR_NOT_FOUND', 'Nothing is served at this address.');
  }
}

/** A failed request counts for its account, so that a gate sees it; found afterwards, since it failed anywhere. */
function countFailure(options: DeviceHandlerOptions, token: string, latencyMs: number): void {
  findDeviceByToken(options.db, token)
    .then((device) => {
      if (device !== 'not-found') options.samples.add(device.accountId, latencyMs, true);
    })
    .catch((error: unknown) => options.log.warn({ reason: messageOf(error) }, 'a failed request could not be counted'));
}

async function answerConnect(
  options: Serving,
  request: DeviceRequest,
  token: string,
  way: RequestWay,
): Promise<DeviceAnswer> {
  const startedAt = performance.now();
  const body = await readMessage(request, 'connect');
  const proven = await provenIdentity(options, request, body, token, way);
  // The connect statement judges who sends, but that of a large body is judged before it is read.
  if (body.length > largeFromBytes) {
    const refusal = await refusalOfSender(options, token, proven);
    if (refusal !== undefined) return refusal;
  }
  const message = await readConnect(options, body, { token, ...proven });
  const connect = connectRequestOf(token, proven, message);
  if (message.userId !== undefined) return await answerUserChannel(options, connect, proven);
  const outcome = await connectAfterAll(options, connect, proven);
  switch (outcome.kind) {
    case 'served':
      options.samples.add(outcome.accountId, performance.now() - startedAt, false);
      noteIdentity(options, outcome.deviceId, proven, message.status === 'Idle');
      if (outcome.leaves) await finishRemoval(options, outcome.deviceId);
      return outcome.command === null ? emptyAnswer : plistAnswer(outcome.command);
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
    case 'unknown-device':
      return unknownDevice;
    case 'wrong-identity':
      return wrongIdentity;
    case 'another-enrolment':
      return refuseAnotherEnrolment(options, outcome.deviceId);
    case 'tls-required':
      return refuseWithoutTls(options, outcome.deviceId);
    case 'not-active':
      return await answerInactive(options, token);
  }
}

/** The device answered that it leaves. Where this fails, the next look around ends the enrolment. */
async function finishRemoval(options: DeviceHandlerOptions, deviceId: DeviceId): Promise<void> {
  await options.db
    .begin((tx) => finishRemovals(tx, options.instanceId, deviceId))
    .catch((error: unknown) => options.log.warn({ reason: messageOf(error) }, 'a removal could not be finished'));
}

/**
 * Only what is not served comes to the slower look at the enrolment: a new identity is used for the first time, a suspended
 * enrolment is taken back by its key.
 */
async function connectAfterAll(
  options: DeviceHandlerOptions,
  connect: ConnectRequest,
  proven: Proven,
): Promise<ConnectOutcome> {
  let outcome = await options.connects.connect(connect);
  if (outcome.kind === 'wrong-identity') {
    const device = await identifiedDevice(options, connect.token, proven);
    if (device.kind !== 'done') return device;
    if (device.value === 'not-found' || device.value.fingerprint !== connect.fingerprint) return outcome;
    outcome = await options.connects.connect(connect);
  }
  if (outcome.kind !== 'not-active') return outcome;
  const device = await findDeviceByToken(options.db, connect.token);
  if (device === 'not-found' || !device.suspended) return outcome;
  const resumed = await resumeSuspended(options.checkin, device);
  if (resumed.kind !== 'done') return resumed;
  return resumed.value ? await options.connects.connect(connect) : outcome;
}

/**
 * The enrolment of a token. Where the request proves the identity that is to follow the present one, that is the present one
 * from now on; where it proves the one before, or one that was issued to the device and that no row knows, an event says so: it is
 * refused, and may be all that the device has.
 */
async function identifiedDevice(
  options: DeviceHandlerOptions,
  token: string,
  { fingerprint, certificateDer }: Pick<Proven, 'fingerprint' | 'certificateDer'>,
): Promise<FencedOutcome<EnrolledDevice | 'not-found'>> {
  const { db, instanceId } = options;
  const device = await findDeviceByToken(db, token);
  if (device === 'not-found' || device.fingerprint === fingerprint) return { kind: 'done', value: device };
  const standing = await standingOf(db, device.deviceId, fingerprint);
  if (standing === 'former') noteFormerIdentity(options, device.deviceId);
  if (standing === 'none' && wasIssuedTo(device.deviceId, certificateDer, options.deviceAuthorityDer)) {
    noteUnknownIdentity(options, device.deviceId);
  }
  if (standing === 'former' || standing === 'none') return { kind: 'done', value: device };
  if (standing === 'new') {
    const used = await beginToUse(db, instanceId, device, fingerprint);
    if (used.kind !== 'done') return used;
  }
  return { kind: 'done', value: await findDeviceByToken(db, token) };
}

/**
 * What cannot be read is refused, and counted for the command that the device has in hand. Once that is exhausted the device
 * is served as if it were idle: it may know nothing better than to send the same again.
 */
async function readConnect(
  options: Serving,
  body: Buffer,
  device: Pick<ConnectRequest, 'token' | 'fingerprint' | 'overTls'>,
): Promise<ConnectAnswer> {
  try {
    return await options.largeMessages.inTurn(device.token, body, () => parseConnect(body));
  } catch (error) {
    if (isBrambleError(error) && error.code === 'ERR_OVERLOADED') throw error;
    const noted = await noteUnreadableAnswer(options.db, options.instanceId, device, messageOf(error));
    if (noted !== 'exhausted') throw error;
    return { status: 'Idle', payload: {} };
  }
}

/** The device's key was proven, but it is not under management (any more). */
async function answerInactive(options: DeviceHandlerOptions, token: string): Promise<DeviceAnswer> {
  const device = await findDeviceByToken(options.db, token);
  return device !== 'not-found' && device.state === 'gone' && device.removing ? leaveManagement : notActive;
}

/** Commands are queued for devices: on a user channel they would be done for that user alone, and answered for all. */
async function answerUserChannel(
  options: DeviceHandlerOptions,
  connect: ConnectRequest,
  proven: Proven,
): Promise<DeviceAnswer> {
  const identified = await identifiedDevice(options, connect.token, proven);
  if (identified.kind !== 'done') return refusalOfFence(identified);
  const device = identified.value;
  if (device === 'not-found') return unknownDevice;
  const refusal = refusalOf(options, device, connect);
  if (refusal !== undefined) return refusal;
  if (connect.enrolment !== null && device.enrolment?.toLowerCase() !== connect.enrolment.toLowerCase()) {
    return refuseAnotherEnrolment(options, device.deviceId);
  }
  return device.state === 'active' ? emptyAnswer : await answerInactive(options, connect.token);
}

/** Before a large body is read: a stranger has a key of his own to prove, and reading a MiB takes tens of milliseconds. */
async function refusalOfSender(
  options: DeviceHandlerOptions,
  token: string,
  proven: Pick<Proven, 'fingerprint' | 'overTls' | 'certificateDer'>,
): Promise<DeviceAnswer | undefined> {
  const identified = await identifiedDevice(options, token, proven);
  if (identified.kind !== 'done') return refusalOfFence(identified);
  return identified.value === 'not-found' ? unknownDevice : refusalOf(options, identified.value, proven);
}

function refusalOfFence(outcome: Exclude<FencedOutcome<unknown>, { kind: 'done' }>): DeviceAnswer {
  return outcome.kind === 'not-owner' ? notOwner(outcome.owner) : moving;
}

/** As the connect statement judges. */
function refusalOf(
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

function refuseWithoutTls(options: DeviceHandlerOptions, deviceId: DeviceId): DeviceAnswer {
  options.notices.note(
    'device-without-tls',
    deviceId,
    `A message of the device ${deviceId} was refused: it was signed, but the device did not present its certificate ` +
      'in TLS as it had on three days. If a proxy in front of the router now terminates TLS: `bramble device ' +
      'clear-tls --all`; otherwise a captured message is being replayed.',
  );
  return tlsRequired;
}

/** A bootstrap token is worth a computer's disk: a signature that may be a repetition does not get it. */
async function refusesBootstrapToken(options: DeviceHandlerOptions, deviceId: DeviceId): Promise<boolean> {
  if (!(await options.identityUse.tlsCanBeRequired())) return false;
  options.notices.note(
    'bootstrap-token-refused',
    deviceId,
    `The device ${deviceId} asked for its bootstrap token with only a signature and was refused: the token is given ` +
      'only to a device that presents its certificate in TLS. Let TLS reach the router, or have the trusted proxy ' +
      'forward the certificate.',
  );
  return true;
}

function refuseAnotherEnrolment(options: DeviceHandlerOptions, deviceId: DeviceId): DeviceAnswer {
  options.notices.note(
    'device-names-another',
    deviceId,
    `The device ${deviceId} was refused: its key is right, but it names a UDID that is not that of its enrolment. ` +
      'If it was restored from a copy of another device, activate it again.',
  );
  return anotherEnrolment;
}

async function answerCheckin(
  options: Serving,
  request: DeviceRequest,
  token: string,
  way: RequestWay,
): Promise<DeviceAnswer> {
  const body = await readMessage(request, 'checkin');
  const proven = await provenIdentity(options, request, body, token, way);
  const identified = await identifiedDevice(options, token, proven);
  if (identified.kind !== 'done') return refusalOfFence(identified);
  const device = identified.value;
  if (device === 'not-found') return unknownDevice;
  const refusal = refusalOf(options, device, proven);
  if (refusal !== undefined) return refusal;
  const message = await options.largeMessages.inTurn(token, body, () => parseCheckin(body));
  // A removed device that enrols anew with the old profile is told to leave like one that merely comes.
  if (device.removing && (device.state === 'gone' || message.messageType === 'Authenticate')) return leaveManagement;
  if (device.state === 'gone') return notActive;
  if (message.messageType === 'GetBootstrapToken' && !proven.shownInTls) {
    if (await refusesBootstrapToken(options, device.deviceId)) return tlsRequired;
  }
  const outcome = await checkIn(options.checkin, device, message);
  if (outcome.kind !== 'done') return refusalOfFence(outcome);
  noteIdentity(options, device.deviceId, proven, false);
  switch (outcome.value.kind) {
    case 'accepted':
      return emptyAnswer;
    case 'not-served': {
      const { status, reason } = outcome.value;
      return errorAnswer(status, 'ERR_NOT_SERVED', `This message is not supported: ${reason}.`);
    }
    case 'another-enrolment':
      return refuseAnotherEnrolment(options, device.deviceId);
    case 'bootstrap-token':
      return plistAnswer(serializeBootstrapToken(outcome.value.token ?? undefined));
    case 'refused':
      return errorAnswer(400, 'ERR_CHECKIN_REFUSED', `The check-in was refused: ${outcome.value.reason}.`);
  }
}

/**
 * A connection may have been opened by the identity that the device had before its renewal, or have outlived it.
 * @throws BrambleError as {@link proveIdentity}; ERR_IDENTITY_MISMATCH where two certificates are not of one enrolment
 */
async function provenIdentity(
  options: DeviceHandlerOptions,
  request: DeviceRequest,
  body: Buffer,
  token: string,
  way: RequestWay,
): Promise<Proven> {
  const proven = proveIdentity(request, body, way, options.certificateKeys);
  const { fingerprint, otherInTls } = proven;
  if (otherInTls === undefined || (await areOfOneEnrolment(options.db, token, [fingerprint, otherInTls])))
    return proven;
  throw new BrambleError(
    'ERR_IDENTITY_MISMATCH',
    'The request is signed with a certificate other than that of its TLS connection.',
  );
}

/** The address says what a message is: some clients name another content type, or none. */
async function readMessage(request: DeviceRequest, kind: 'checkin' | 'connect'): Promise<Buffer> {
  if (request.method !== 'PUT' && request.method !== 'POST') {
    throw new BrambleError('ERR_INPUT', `Send device messages with PUT, not ${request.method}.`);
  }
  return await readBody(request, kind);
}

function send(response: DeviceResponse, result: DeviceAnswer): void {
  if (response.destroyed || response.headersSent) return;
  const { status, headers, body } = result;
  // HTTP/1 and HTTP/2 responses have the same two methods, but their types do not overlap.
  const out = response as ServerResponse;
  out.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
  // An empty chunk would be a write of its own.
  if (body.length === 0) out.end();
  else out.end(body);
}
