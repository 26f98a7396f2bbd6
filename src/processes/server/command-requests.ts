/**
 * A device that connects for commands: the batch serves it, and requests that the batch does not serve take a slower
 * path.
 */
import { patientWithMoves } from '../../accounts/moving-patience.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { DeviceId } from '../../base/ids.ts';
import { resumeSuspended } from '../../devices/announcements.ts';
import type { ConnectRequest } from '../../devices/connect-request.ts';
import { connectRequestOf } from '../../devices/connect-request.ts';
import type { ConnectOutcome } from '../../devices/connect-statement.ts';
import { finishRemovals } from '../../devices/device-removal.ts';
import { findDeviceByToken } from '../../devices/device-store.ts';
import { recordUnreadableAnswer } from '../../devices/unreadable-answer.ts';
import type { CommandReport } from '../../platforms/device-message.ts';
import type { DeviceProtocol } from '../../platforms/protocol.ts';
import {
  type DeviceAnswer,
  emptyAnswer,
  leaveManagement,
  messageAnswer,
  moving,
  notActive,
  notOwner,
  unknownDevice,
  wrongIdentity,
} from './device-answer.ts';
import { noteIdentity, type Proven } from './device-identity.ts';
import { largeFromBytes } from './large-messages.ts';
import {
  type Incoming,
  identifiedDevice,
  provenIdentity,
  readMessage,
  refusalOf,
  refusalOfFence,
  refusalOfSender,
  refuseAnotherEnrolment,
  refuseWithoutTls,
} from './message-sender.ts';
import type { DeviceHandlerOptions, Serving } from './serving.ts';

export async function answerCommandRequest(options: Serving, incoming: Incoming): Promise<DeviceAnswer> {
  const startedAt = performance.now();
  const { protocol, token } = incoming;
  const body = await readMessage(incoming);
  const proven = await provenIdentity(options, incoming, body);
  // The connect statement checks the sender, but the sender of a large body is checked before the body is read.
  if (body.length > largeFromBytes) {
    const refusal = await refusalOfSender(options, token, proven);
    if (refusal !== undefined) return refusal;
  }
  const report = await readReport(options, protocol, body, { token, ...proven });
  const connect = connectRequestOf(token, proven, report);
  if (report.onUserChannel) return await answerUserChannel(options, protocol, connect, proven);
  const outcome = await connectAfterAll(options, connect, proven);
  switch (outcome.kind) {
    case 'served':
      options.samples.add(outcome.accountId, performance.now() - startedAt, false);
      noteIdentity(options, outcome.deviceId, proven, report.status === 'idle');
      if (outcome.leaves) await finishRemoval(options, outcome.deviceId);
      return outcome.command === null ? emptyAnswer : messageAnswer(protocol, outcome.command);
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
      return await answerInactive(options, protocol, token);
  }
}

/** The device answered that it leaves. If this fails, the next upkeep turn ends the enrolment. */
async function finishRemoval(options: DeviceHandlerOptions, deviceId: DeviceId): Promise<void> {
  await options.db
    .begin((tx) => finishRemovals(tx, options.instanceId, deviceId))
    .catch((error: unknown) => options.log.warn({ reason: messageOf(error) }, 'a removal could not be finished'));
}

/**
 * Only requests that were not served reach this slower check of the enrolment: the first use of a new identity, or a
 * suspended enrolment resumed by its key.
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
  const resume = () => resumeSuspended(options.announcements, device);
  const resumed = await patientWithMoves(resume, options.movingPatienceMs);
  if (resumed.kind !== 'done') return resumed;
  return resumed.value ? await options.connects.connect(connect) : outcome;
}

/**
 * An unreadable message is refused, and counted against the command that the device has. Once that is exhausted the
 * device is served as if idle: it may otherwise just keep sending the same message.
 */
async function readReport(
  options: Serving,
  protocol: DeviceProtocol,
  body: Buffer,
  device: Pick<ConnectRequest, 'token' | 'fingerprint' | 'overTls'>,
): Promise<CommandReport> {
  try {
    return await options.largeMessages.inTurn(device.token, body, () => protocol.readReport(body));
  } catch (error) {
    if (isBrambleError(error) && error.code === 'ERR_OVERLOADED') throw error;
    const noted = await recordUnreadableAnswer(options.db, options.instanceId, device, messageOf(error));
    if (noted !== 'exhausted') throw error;
    return { status: 'idle', deviceName: null, onUserChannel: false };
  }
}

/** The device's key was proven, but it is not under management (any more). */
async function answerInactive(
  options: DeviceHandlerOptions,
  protocol: DeviceProtocol,
  token: string,
): Promise<DeviceAnswer> {
  const device = await findDeviceByToken(options.db, token);
  const isToLeave = device !== 'not-found' && device.state === 'gone' && device.removing;
  return isToLeave ? leaveManagement(protocol) : notActive;
}

/**
 * Commands are queued for devices: on a user channel they would be carried out for that user only, but answered for
 * all.
 */
async function answerUserChannel(
  options: DeviceHandlerOptions,
  protocol: DeviceProtocol,
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
  return device.state === 'active' ? emptyAnswer : await answerInactive(options, protocol, connect.token);
}
