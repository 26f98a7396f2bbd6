/**
 * The SCEP service of an instance, independent of the transport: issues and renews the identity certificate of a device
 * that was offered an enrolment.
 *
 *   token → owner → the same message's answer → turn → offer open → message opened → challenge → issued
 *
 * Protects: keys are used only when nothing cheaper settles the request, and one token's requests do not delay those of
 * others (`scep-turns.ts`).
 * @see RFC 8894
 */
import { createPrivateKey } from 'node:crypto';
import { type BrambleError, isBrambleError } from '../base/errors.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import type { Authority, InstanceAuthorities } from '../domain/authorities.ts';
import type { IdentityRequest } from '../platforms/protocol.ts';
import { bundleCertificates } from '../protocol/cms/signing.ts';
import { type ScepFailInfo, scepCapabilities, scepContentType } from '../protocol/scep/attributes.ts';
import {
  buildCertRep,
  failureOf,
  type PkiRequest,
  parsePkiMessage,
  type RegistrationAuthority,
  readScepReference,
} from '../protocol/scep/server-message.ts';
import { fingerprintOf, readCertificate } from '../protocol/x509/certificate-fields.ts';
import { publicKeyFrom } from '../protocol/x509/public-key.ts';
import { type EnrollingDevice, enrollingDevice } from './device-identity.ts';
import type { FenceMiss } from './fence-miss.ts';
import {
  closedTo,
  createIdentityIssuer,
  type IdentityIssuer,
  type IdentityRefusal,
  missOf,
} from './identity-issuer.ts';
import { createScepTurns, type ScepTurn } from './scep-turns.ts';

export interface ScepRequest {
  /** The query parameter `operation`. */
  readonly operation: string;
  /** The path token of the device's SCEP address. */
  readonly token: string;
  /** The message of a PKIOperation: the body of a POST, or the decoded `message` parameter of a GET. */
  readonly message: Uint8Array;
}

export type ScepOutcome =
  /** Status 200, even if the message says that the request has failed; `refusal` and `reason` are for the log. */
  | {
      readonly kind: 'answer';
      readonly contentType: string;
      readonly body: Buffer;
      readonly refusal?: ScepRefusal;
      readonly reason?: string;
    }
  /** Status 400: not even the transaction could be read. */
  | { readonly kind: 'malformed'; readonly error: BrambleError }
  | { readonly kind: 'unknown-operation' }
  | { readonly kind: 'unknown-token' }
  /** Too many requests are queued, for this token or in total: retry later. */
  | { readonly kind: 'busy' }
  | FenceMiss;

/** `message`: it could not be read. */
export type ScepRefusal = IdentityRefusal | 'message';

export interface ScepService {
  handleScep(request: ScepRequest): Promise<ScepOutcome>;
  /** Messages opened so far: each costs private-key work on the event loop. */
  readonly opened: number;
  /** Issues the same identities to requests by other protocols. */
  readonly identities: IdentityIssuer;
}

/**
 * The device authority signs identities. Requests may be encrypted to the registration authority or, as up to 1.1, to
 * the device authority itself, and the authority that was addressed answers; `registrationActive` decides which of the
 * two is announced to devices. While an upgrade is open it is the one that 1.1 has: a device that gets the certificate
 * here may send its request there.
 */
export function createScepService(options: {
  readonly db: Queryable;
  readonly instanceId: InstanceId;
  readonly authorities: Pick<InstanceAuthorities, 'device' | 'registration'>;
  readonly registrationActive: () => Promise<boolean>;
  /** Whether every component accepts that an enrolment may have two identities for a while. */
  readonly renewalActive: () => Promise<boolean>;
  readonly now?: () => Date;
}): ScepService {
  const { db, instanceId, authorities, registrationActive, renewalActive, now = () => new Date() } = options;
  const deviceAuthority = authorities.device;
  const former = registrationOf(deviceAuthority);
  const identities = createIdentityIssuer({ db, instanceId, deviceAuthority, renewalActive, now });
  const turns = createScepTurns<ScepOutcome>();
  let opened = 0;
  // If the device authority stands in, there is only one.
  const present = authorities.registration === deviceAuthority ? former : registrationOf(authorities.registration);

  /** Who opens requests; the one announced to devices comes first. */
  async function registrations(): Promise<readonly [RegistrationAuthority, ...RegistrationAuthority[]]> {
    if (present === former) return [former];
    return (await registrationActive()) ? [present, former] : [former, present];
  }

  async function authorityCertificates(): Promise<ScepOutcome> {
    const [first] = await registrations();
    if (first === former) {
      return { kind: 'answer', contentType: scepContentType.certificate, body: deviceAuthority.certificateDer };
    }
    const body = bundleCertificates([first.raCertificate, deviceAuthority.certificateDer]);
    return { kind: 'answer', contentType: scepContentType.certificates, body };
  }

  async function pkiOperation(token: string, message: Uint8Array): Promise<ScepOutcome> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { kind: 'unknown-token' };
    if (!device.mine) return await missOf(db, instanceId, token);
    const known = await registrations();
    const situation = situationOf(device, known[0]);
    const outcome = await turns.take({ token, message, situation }, () => answerInTurn(token, message, known));
    return outcome === 'busy' ? { kind: 'busy' } : outcome;
  }

  /** Looks at the device again: it may have changed during the wait, perhaps by a request of the same token. */
  async function answerInTurn(
    token: string,
    message: Uint8Array,
    known: readonly [RegistrationAuthority, ...RegistrationAuthority[]],
  ): Promise<ScepTurn<ScepOutcome>> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { answer: { kind: 'unknown-token' }, situation: null };
    if (!device.mine) return { answer: await missOf(db, instanceId, token), situation: null };
    const { outcome, issues } = await answerOpenly(device, message, known);
    const remembers = outcome.kind === 'answer' || outcome.kind === 'malformed';
    // A certificate changes what the next answer depends on, so the situation is read again.
    const after = issues ? await enrollingDevice(db, instanceId, token) : device;
    return { answer: kept(outcome), situation: remembers && after !== undefined ? situationOf(after, known[0]) : null };
  }

  /** `issues`: the answer holds a certificate. */
  async function answerOpenly(
    device: EnrollingDevice,
    message: Uint8Array,
    known: readonly [RegistrationAuthority, ...RegistrationAuthority[]],
  ): Promise<{ outcome: ScepOutcome; issues?: true }> {
    let request: PkiRequest;
    try {
      const closed = closedTo(device);
      if (closed !== undefined) {
        const reference = { ...readScepReference(message), registration: known[0] };
        return { outcome: await failed(reference, 'badRequest', closed) };
      }
      opened += 1;
      request = parsePkiMessage(message, known);
    } catch (error) {
      const failure = failureOf(error);
      if (!isBrambleError(error)) throw error;
      if (failure === undefined) return { outcome: { kind: 'malformed', error } };
      const reference = { ...failure.reference, registration: known[0] };
      return { outcome: await failed(reference, failure.failInfo, 'message', error.message) };
    }
    // Checked before anything is issued: an answer that cannot be encrypted would bind the offer all the same.
    if (!canBeAnswered(request.signerCertificateDer)) {
      const reason = 'the answer is encrypted to the signer’s key, which must be RSA';
      return { outcome: await failed(request, 'badAlg', 'message', reason) };
    }
    const decision = await identities.decide(device, identityRequestOf(request));
    switch (decision.kind) {
      case 'certificate': {
        const { certificateDer } = decision;
        return { outcome: await succeeded(request, certificateDer), issues: true };
      }
      case 'refused':
        return { outcome: await failed(request, 'badRequest', decision.refusal) };
      case 'not-owner':
      case 'moving':
        return { outcome: decision };
    }
  }

  async function succeeded(request: PkiRequest, certificateDer: Uint8Array): Promise<ScepOutcome> {
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
  ): Promise<ScepOutcome> {
    const body = await buildCertRep(request, { status: 'failure', failInfo }, request.registration);
    const logged = reason === undefined ? { refusal } : { refusal, reason };
    return { kind: 'answer', contentType: scepContentType.message, body, ...logged };
  }

  return {
    async handleScep({ operation, token, message }) {
      switch (operation) {
        case 'GetCACaps':
          return { kind: 'answer', contentType: 'text/plain', body: Buffer.from(scepCapabilities) };
        case 'GetCACert':
          return await authorityCertificates();
        case 'PKIOperation':
          return await pkiOperation(token, message);
        default:
          return { kind: 'unknown-operation' };
      }
    },
    identities,
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

function registrationOf({ certificateDer, privateKeyPem }: Authority): RegistrationAuthority {
  return { raKey: createPrivateKey(privateKeyPem), raCertificate: certificateDer };
}

/** Everything besides the message that an answer depends on: the same situation gives the same answer. */
function situationOf(device: EnrollingDevice, first: RegistrationAuthority): string {
  const { identityFingerprint, scepChallenge, renewal } = device;
  const { challenge, open, issuedFor, identityKey = null } = renewal ?? {};
  const next = [challenge, open, issuedFor, identityKey?.toString('hex')];
  return JSON.stringify([
    closedTo(device),
    identityFingerprint,
    scepChallenge,
    next,
    fingerprintOf(first.raCertificate),
  ]);
}

/** The answer is encrypted to the signer's key, which only RSA allows. @see RFC 8894 §3.2.2 */
function canBeAnswered(signerCertificateDer: Uint8Array): boolean {
  return publicKeyFrom(readCertificate(signerCertificateDer).publicKeySpkiDer).asymmetricKeyType === 'rsa';
}

/** Copied: a small buffer is a view into a shared 64 KiB block, and keeping it would keep the whole block. */
function kept(outcome: ScepOutcome): ScepOutcome {
  return outcome.kind === 'answer' ? { ...outcome, body: Buffer.from(new Uint8Array(outcome.body).buffer) } : outcome;
}
