/** Requests with a device's announcements: its identity, its wake address, its departure. */
import { patientWithMoves } from '../../accounts/moving-patience.ts';
import type { DeviceId } from '../../base/ids.ts';
import { takeAnnouncement } from '../../devices/announcements.ts';
import {
  type DeviceAnswer,
  emptyAnswer,
  errorAnswer,
  leaveManagement,
  messageAnswer,
  notActive,
  tlsRequired,
  unknownDevice,
} from './device-answer.ts';
import { noteIdentity } from './device-identity.ts';
import {
  type Incoming,
  identifiedDevice,
  provenIdentity,
  readMessage,
  refusalOf,
  refusalOfFence,
  refuseAnotherEnrolment,
} from './message-sender.ts';
import type { DeviceHandlerOptions, Serving } from './serving.ts';

export async function answerAnnouncement(options: Serving, incoming: Incoming): Promise<DeviceAnswer> {
  const { protocol, token } = incoming;
  const body = await readMessage(incoming);
  const proven = await provenIdentity(options, incoming, body);
  const identified = await identifiedDevice(options, token, proven);
  if (identified.kind !== 'done') return refusalOfFence(identified);
  const device = identified.value;
  if (device === 'not-found') return unknownDevice;
  const refusal = refusalOf(options, device, proven);
  if (refusal !== undefined) return refusal;
  const message = await options.largeMessages.inTurn(token, body, () => protocol.readAnnouncement(body));
  // A removed device that enrols again on its old token is told to leave, like one that merely connects.
  if (device.removing && (device.state === 'gone' || message.kind === 'enrols')) return leaveManagement(protocol);
  if (device.state === 'gone') return notActive;
  if (message.kind === 'fetches-secret' && !proven.shownInTls) {
    if (await refusesKeptSecret(options, device.deviceId)) return tlsRequired;
  }
  const take = () => takeAnnouncement(options.announcements, device, message);
  const outcome = await patientWithMoves(take, options.movingPatienceMs);
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
    case 'kept-secret':
      return messageAnswer(protocol, protocol.writeSecret(outcome.value.secret));
    case 'refused':
      return errorAnswer(400, 'ERR_CHECKIN_REFUSED', `The check-in was refused: ${outcome.value.reason}.`);
  }
}

/** It unlocks a computer's disk: a signature that may be a replay does not get it. */
async function refusesKeptSecret(options: DeviceHandlerOptions, deviceId: DeviceId): Promise<boolean> {
  if (!(await options.identityUse.tlsCanBeRequired())) return false;
  options.notices.note(
    'bootstrap-token-refused',
    deviceId,
    `The device ${deviceId} requested its escrowed secret using only a signature and was refused: the secret is ` +
      'given only to a device that presents its certificate in TLS. Let TLS reach the router, or have the trusted proxy ' +
      'forward the certificate.',
  );
  return true;
}
