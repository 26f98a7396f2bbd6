/**
 * The answer to one SCEP message of a device that is served here.
 *
 *   offer open → message opened → signer can be answered → decision → certificate or failure
 *
 * Invariant: no key is used to open the message of a device that gets nothing anyway, and nothing is issued that cannot
 * be answered.
 * @see RFC 8894 §3.2, §3.3
 */
import { type BrambleError, isBrambleError } from '../base/errors.ts';
import type { EnrollingDevice } from '../devices/device-identity.ts';
import type { IdentityRequest } from '../platforms/protocol.ts';
import { type ScepFailInfo, scepContentType } from '../protocol/scep/attributes.ts';
import {
  buildCertRep,
  failureOf,
  type PkiRequest,
  parsePkiMessage,
  readScepReference,
} from '../protocol/scep/server-message.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';
import { publicKeyFrom } from '../protocol/x509/public-key.ts';
import type { FenceMiss } from './fence-miss.ts';
import { closedTo, type IdentityIssuer, type IdentityRefusal } from './identity-issuer.ts';
import type { Registrations } from './scep-registrations.ts';

/** Status 200, even if the message says that the request has failed; `refusal` and `reason` are for the log. */
export interface ScepAnswer {
  readonly kind: 'answer';
  readonly contentType: string;
  readonly body: Buffer;
  readonly refusal?: ScepRefusal;
  readonly reason?: string;
}

/** Status 400: not even the transaction could be read. */
export interface MalformedScep {
  readonly kind: 'malformed';
  readonly error: BrambleError;
}

/** `message`: it could not be read. */
type ScepRefusal = IdentityRefusal | 'message';

interface AnsweredMessage {
  readonly outcome: ScepAnswer | MalformedScep | FenceMiss;
  /** The answer holds a certificate. */
  readonly issues?: true;
}

interface ScepAnswers {
  answer(device: EnrollingDevice, message: Uint8Array, known: Registrations): Promise<AnsweredMessage>;
  /** Messages opened so far: each costs private-key work on the event loop. */
  readonly opened: number;
}

export function createScepAnswers(identities: IdentityIssuer): ScepAnswers {
  let opened = 0;

  async function read(
    device: EnrollingDevice,
    message: Uint8Array,
    known: Registrations,
  ): Promise<PkiRequest | AnsweredMessage['outcome']> {
    try {
      const closed = closedTo(device);
      if (closed !== undefined) {
        const reference = { ...readScepReference(message), registration: known[0] };
        return await failed(reference, 'badRequest', closed);
      }
      opened += 1;
      return parsePkiMessage(message, known);
    } catch (error) {
      const failure = failureOf(error);
      if (!isBrambleError(error)) throw error;
      if (failure === undefined) return { kind: 'malformed', error };
      const reference = { ...failure.reference, registration: known[0] };
      return await failed(reference, failure.failInfo, 'message', error.message);
    }
  }

  return {
    async answer(device, message, known) {
      const request = await read(device, message, known);
      if ('kind' in request) return { outcome: request };
      // Checked before anything is issued: an answer that cannot be encrypted would bind the offer all the same.
      if (!canBeAnswered(request.signerCertificateDer)) {
        const reason = 'the answer is encrypted to the signer’s key, which must be RSA';
        return { outcome: await failed(request, 'badAlg', 'message', reason) };
      }
      const decision = await identities.decide(device, identityRequestOf(request));
      switch (decision.kind) {
        case 'certificate':
          return { outcome: await succeeded(request, decision.certificateDer), issues: true };
        case 'refused':
          return { outcome: await failed(request, 'badRequest', decision.refusal) };
        case 'not-owner':
        case 'moving':
          return { outcome: decision };
      }
    },
    get opened() {
      return opened;
    },
  };
}

function identityRequestOf(request: PkiRequest): IdentityRequest {
  return {
    challenge: request.challengePassword,
    renews: request.messageType === 'RenewalReq' ? request.signerCertificateDer : null,
    publicKeySpkiDer: request.publicKeySpkiDer,
    transactionId: request.transactionId,
  };
}

/** The answer is encrypted to the signer's key, which only RSA allows. @see RFC 8894 §3.2.2 */
function canBeAnswered(signerCertificateDer: Uint8Array): boolean {
  return publicKeyFrom(readCertificate(signerCertificateDer).publicKeySpkiDer).asymmetricKeyType === 'rsa';
}

async function succeeded(request: PkiRequest, certificateDer: Uint8Array): Promise<ScepAnswer> {
  const { cipher, signerCertificateDer } = request;
  const answer = {
    status: 'success',
    certificateDer,
    recipientCertificateDer: signerCertificateDer,
    cipher,
  } as const;
  const body = await buildCertRep(request, answer, request.registration);
  return { kind: 'answer', contentType: scepContentType.message, body };
}

async function failed(
  request: Pick<PkiRequest, 'transactionId' | 'senderNonce' | 'registration'>,
  failInfo: ScepFailInfo,
  refusal: ScepRefusal,
  reason?: string,
): Promise<ScepAnswer> {
  const body = await buildCertRep(request, { status: 'failure', failInfo }, request.registration);
  const logged = reason === undefined ? { refusal } : { refusal, reason };
  return { kind: 'answer', contentType: scepContentType.message, body, ...logged };
}
