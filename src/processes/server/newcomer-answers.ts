/** Answers to clients without an identity: enrolments and identities. */
import { patientWithMoves } from '../../accounts/moving-patience.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { activationMethodRefusal, activationRefusal, platformRefusal } from '../../platforms/enrolment-refusals.ts';
import type { IdentityProtocol, IdentityRequest } from '../../platforms/protocol.ts';
import { type FormBudget, parseQuery } from '../../protocol/form.ts';
import {
  type DeviceAnswer,
  emptyAnswer,
  errorAnswer,
  messageAnswer,
  moving,
  notOwner,
  retryLaterAnswer,
  unknownDevice,
} from './device-answer.ts';
import { remoteAddressOf } from './device-identity.ts';
import type { Incoming } from './message-sender.ts';
import { readBody } from './request-body.ts';
import type { NewcomerOptions } from './serving.ts';

/** A request by GET has some 4 KB, in base64; the router passes on targets of 16 KiB at most. */
const scepQueryBudget: FormBudget = { maxPairs: 16, maxNameBytes: 64, maxValueBytes: 16 * 1024 };

const tooMany = retryLaterAnswer('ERR_OVERLOADED', 'Too many requests at once; retry later.');

export async function answerScep(
  options: NewcomerOptions,
  { request, rule, token, way }: Incoming,
): Promise<DeviceAnswer> {
  if (request.method !== 'GET' && request.method !== 'POST') {
    return errorAnswer(405, 'ERR_METHOD', 'Use GET or POST for SCEP.');
  }
  const query = parseQuery(request.url ?? '/', scepQueryBudget);
  const operation = query.get('operation') ?? '';
  // A client that does not escape the plus signs of its base64 does not mean blanks.
  const message =
    request.method === 'POST'
      ? await readBody(request, rule)
      : Buffer.from((query.get('message') ?? '').replaceAll(' ', '+'), 'base64');
  const handle = () => options.scep.handleScep({ operation, message, token });
  const outcome = await patientWithMoves(handle, options.movingPatienceMs);
  switch (outcome.kind) {
    case 'answer':
      if (outcome.refusal) {
        const { refusal, reason } = outcome;
        options.log.info({ address: remoteAddressOf(request, way), refusal, reason }, 'SCEP request refused');
      }
      return { ...emptyAnswer, headers: { 'content-type': outcome.contentType }, body: outcome.body };
    case 'malformed':
      return errorAnswer(400, outcome.error.code, outcome.error.message);
    case 'unknown-operation':
      return errorAnswer(400, 'ERR_SCEP_OPERATION', 'This SCEP operation is not supported.');
    case 'unknown-token':
      return unknownDevice;
    case 'busy':
      return tooMany;
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
  }
}

export async function answerIdentity(
  options: NewcomerOptions,
  { request, rule, protocol, token, way }: Incoming,
): Promise<DeviceAnswer> {
  if (request.method !== 'POST') return errorAnswer(405, 'ERR_METHOD', 'Ask for an identity with POST.');
  if (protocol.identity === null)
    throw new TypeError('a protocol without identities of its own has an address for them');
  const message = await readBody(request, rule);
  const asked = readIdentityRequest(protocol.identity, message);
  const issue = () => options.scep.issue({ token, message, asked });
  const decision = await patientWithMoves(issue, options.movingPatienceMs);
  switch (decision.kind) {
    case 'certificate':
      return messageAnswer(protocol, protocol.identity.write(decision.certificateDer));
    case 'refused':
      options.log.info({ address: remoteAddressOf(request, way), refusal: decision.refusal }, 'identity refused');
      return errorAnswer(400, 'ERR_NOT_ENROLLED', 'No identity is issued for this request: activate the device again.');
    case 'unknown-token':
      return unknownDevice;
    case 'busy':
      return tooMany;
    case 'not-owner':
      return notOwner(decision.owner);
    case 'moving':
      return moving;
  }
}

/** @throws BrambleError also if the protocol fails in another way: what a stranger sends is no error on our side. */
function readIdentityRequest(protocol: IdentityProtocol, message: Buffer): IdentityRequest {
  try {
    return protocol.read(message);
  } catch (error) {
    if (isBrambleError(error)) throw error;
    throw new BrambleError('ERR_INPUT', 'The request for an identity cannot be read.', { cause: error });
  }
}

export async function answerActivation(
  options: NewcomerOptions,
  { request, rule, protocol, way }: Incoming,
): Promise<DeviceAnswer> {
  if (request.method !== 'POST') return errorAnswer(405, activationMethodRefusal.code, activationMethodRefusal.message);
  const form = protocol.readEnrolment(request.headers['content-type'], await readBody(request, rule));
  const address = remoteAddressOf(request, way);
  const activate = () => options.activation.activate(form, address);
  const outcome = await patientWithMoves(activate, options.movingPatienceMs);
  switch (outcome.kind) {
    case 'offer':
      return { ...emptyAnswer, headers: { 'content-type': outcome.contentType }, body: outcome.body };
    case 'refused':
      options.log.info({ accountName: form.accountName, address, reason: outcome.reason }, 'activation refused');
      return errorAnswer(400, activationRefusal.code, activationRefusal.message);
    case 'no-platform':
      return errorAnswer(400, platformRefusal(form.platform).code, platformRefusal(form.platform).message);
    case 'platform-locked':
      return retryLaterAnswer(
        'ERR_FEATURE_LOCKED',
        'The domain is being upgraded and does not accept devices of this platform until the upgrade is finalized.',
      );
    case 'busy':
      return retryLaterAnswer('ERR_OVERLOADED', 'Too many activations at once; retry later.');
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
  }
}
