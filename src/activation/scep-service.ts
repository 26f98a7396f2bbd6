/**
 * The SCEP service of an instance, free of its transport: issues the identity certificate of a device that was offered an
 * enrolment, and its renewals.
 *
 *   token → owner → the same message's answer → turn → offer open → message opened → challenge → issued
 *
 * Protects: one offer, one key. Whoever shows the challenge first binds the offer to that key; the same key gets the same
 * certificate again when its answer was lost (a retry costs nothing), and any other key is refused. What can be settled
 * without the keys is, and no token's requests keep those of others waiting (`scep-turns.ts`).
 * @see RFC 8894
 */
import { createHash, createPrivateKey, timingSafeEqual } from 'node:crypto';
import { type BrambleError, isBrambleError } from '../base/errors.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import type { Authority, InstanceAuthorities } from '../domain/authorities.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
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
import { issueCertificateOffLoop, randomSerialHex } from '../protocol/x509/certificate.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { fingerprintOf, readCertificate } from '../protocol/x509/certificate-fields.ts';
import { publicKeyFrom } from '../protocol/x509/public-key.ts';
import {
  type EnrollingDevice,
  enrollingDevice,
  type IssuedIdentity,
  type RenewalGround,
  replaceIdentity,
  storeIdentity,
  storeNextIdentity,
} from './device-identity.ts';
import { type FenceMiss, whyFenced } from './fence-miss.ts';
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
  /** Status 200, also where the message says that the request has failed; `refusal` and `reason` are for the log. */
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

export type ScepRefusal =
  | 'message'
  | 'challenge'
  | 'lapsed'
  | 'another-key'
  | 'not-enrolling'
  | 'not-the-present-identity';

export interface ScepService {
  handleScep(request: ScepRequest): Promise<ScepOutcome>;
  /** Messages opened so far: each costs work of the keys on the event loop. */
  readonly opened: number;
}

type Decision =
  | { readonly kind: 'certificate'; readonly certificateDer: Uint8Array }
  | { readonly kind: 'refused'; readonly refusal: ScepRefusal }
  | FenceMiss;

/**
 * The device authority signs identities. Requests may be encrypted to the registration authority or, as up to 1.1, to the
 * device authority itself, and are answered by whichever it was; `registrationActive` decides which of the two devices are
 * told of. While an upgrade is open it is the one that 1.1 has: whoever asks here for the certificate may send the request
 * there.
 */
export function createScepService(options: {
  readonly db: Queryable;
  readonly instanceId: InstanceId;
  readonly authorities: Pick<InstanceAuthorities, 'device' | 'registration'>;
  readonly registrationActive: () => Promise<boolean>;
  /** Whether every component knows that an enrolment may have two identities for a while. */
  readonly renewalActive: () => Promise<boolean>;
  readonly now?: () => Date;
}): ScepService {
  const { db, instanceId, authorities, registrationActive, renewalActive, now = () => new Date() } = options;
  const deviceAuthority = authorities.device;
  const former = registrationOf(deviceAuthority);
  const turns = createScepTurns<ScepOutcome>();
  let opened = 0;
  // Where the device authority stands in, there is one only.
  const present = authorities.registration === deviceAuthority ? former : registrationOf(authorities.registration);

  /** Who opens requests, whom devices are told of first. */
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
    if (!device.mine) return await missOf(token);
    const known = await registrations();
    const situation = situationOf(device, known[0]);
    const outcome = await turns.take({ token, message, situation }, () => answerInTurn(token, message, known));
    return outcome === 'busy' ? { kind: 'busy' } : outcome;
  }

  /** The device is looked at again: it has been waited, for a request of the same token perhaps. */
  async function answerInTurn(
    token: string,
    message: Uint8Array,
    known: readonly [RegistrationAuthority, ...RegistrationAuthority[]],
  ): Promise<ScepTurn<ScepOutcome>> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { answer: { kind: 'unknown-token' }, situation: null };
    if (!device.mine) return { answer: await missOf(token), situation: null };
    const { outcome, issues } = await answerOpenly(device, message, known);
    const remembers = outcome.kind === 'answer' || outcome.kind === 'malformed';
    // A certificate changes what the next answer depends on, and is looked at as it then stands.
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
    // Asked before anything is issued: an answer that cannot be encrypted would bind the offer all the same.
    if (!canBeAnswered(request.signerCertificateDer)) {
      const reason = 'the answer is encrypted to the signer’s key, which must be RSA';
      return { outcome: await failed(request, 'badAlg', 'message', reason) };
    }
    const decision = await decide(device, request);
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

  async function decide(device: EnrollingDevice, request: PkiRequest): Promise<Decision> {
    const { challenge = null } = device.renewal ?? {};
    // Whoever shows the challenge of a renewal need not sign with the present identity: it may have ended.
    if (challenge !== null && isSame(request.challengePassword ?? '', challenge)) {
      return await renewByChallenge(device, request);
    }
    return request.messageType === 'RenewalReq' ? await renew(device, request) : await enroll(device, request);
  }

  async function enroll(device: EnrollingDevice, request: PkiRequest): Promise<Decision> {
    if (!isSame(request.challengePassword ?? '', device.scepChallenge)) return refused('challenge');
    if (device.identityKey !== null) return certificateAgain(device, request);
    const issued = await issueIdentity(device, request);
    if (await storeIdentity(db, { deviceId: device.deviceId, instanceId }, issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await afterRival(device, request);
  }

  /** One try of a renewal, one key; the same key gets the same certificate again. */
  async function renewByChallenge(device: EnrollingDevice, request: PkiRequest): Promise<Decision> {
    const { deliveryId, challenge, issuedFor, open } = device.renewal ?? {};
    if (!deliveryId || !challenge || device.identityKey === null) return refused('not-enrolling');
    if (issuedFor === deliveryId) return nextCertificateAgain(device, request);
    if (!open) return refused('lapsed');
    return await issueNext(device, request, { deliveryId, challenge });
  }

  async function issueNext(device: EnrollingDevice, request: PkiRequest, ground: RenewalGround): Promise<Decision> {
    const issued = await issueIdentity(device, request);
    if (await storeNextIdentity(db, { deviceId: device.deviceId, instanceId }, ground, issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await afterRival(device, request);
  }

  /**
   * Signed with the present identity, which may have ended: its fingerprint decides. Or asked again, for the key that has become the
   * present one, or is to. 1.1 wants an identity that has not ended, also of those that it reads beside us.
   */
  async function renew(device: EnrollingDevice, request: PkiRequest): Promise<Decision> {
    if (device.identityFingerprint === null) return refused('not-enrolling');
    const signer = fingerprintOf(request.signerCertificateDer);
    if (signer === device.identityFingerprint && (await renewalActive())) {
      if (isSameKey(device.renewal, request)) return nextCertificateAgain(device, request);
      return await issueNext(device, request, { presentFingerprint: signer });
    }
    const issuedHere = isIssuedBy(request.signerCertificateDer, deviceAuthority.certificateDer, now());
    if (!issuedHere) return refused('not-the-present-identity');
    if (signer !== device.identityFingerprint) {
      return isSameKey(device, request) ? certificateAgain(device, request) : refused('not-the-present-identity');
    }
    const issued = await issueIdentity(device, request);
    if (await replaceIdentity(db, { deviceId: device.deviceId, instanceId }, signer, issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await afterRival(device, request);
  }

  /** Nothing was written: a move came first, or the same request at the same time, or another key. */
  async function afterRival(before: EnrollingDevice, request: PkiRequest): Promise<Decision> {
    const miss = await whyFenced(db, instanceId, { deviceId: before.deviceId });
    if (miss !== undefined && miss.kind !== 'mine') return miss;
    const device = await enrollingDevice(db, instanceId, before.token);
    if (device === undefined || device.state === 'gone') return refused('not-enrolling');
    if (isSameKey(device.renewal, request)) return nextCertificateAgain(device, request);
    return certificateAgain(device, request);
  }

  async function missOf(token: string): Promise<ScepOutcome> {
    const miss = await whyFenced(db, instanceId, { token });
    if (miss === undefined) return { kind: 'unknown-token' };
    // Free by now: the device asks again.
    return miss.kind === 'mine' ? { kind: 'moving' } : miss;
  }

  async function issueIdentity(device: EnrollingDevice, request: PkiRequest): Promise<IssuedIdentity> {
    const { validDays } = await readSetting(db, 'device-identity', identitySettingsSchema);
    const issuedAt = now();
    const certificateDer = await issueCertificateOffLoop({
      authority: deviceAuthority,
      publicKey: { spkiDer: request.publicKeySpkiDer },
      subject: { commonName: device.deviceId, organizationalUnit: device.accountName },
      days: validDays,
      serialHex: randomSerialHex(),
      usage: 'client',
    });
    return {
      transactionId: request.transactionId,
      key: keyDigest(request.publicKeySpkiDer),
      certificateDer,
      fingerprint: fingerprintOf(certificateDer),
      issuedAt,
      expiresAt: readCertificate(certificateDer).notAfter,
    };
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
    get opened() {
      return opened;
    },
  };
}

function registrationOf({ certificateDer, privateKeyPem }: Authority): RegistrationAuthority {
  return { raKey: createPrivateKey(privateKeyPem), raCertificate: certificateDer };
}

/** Why nothing is issued to this enrolment, whatever the message says; undefined where that decides. */
function closedTo(device: EnrollingDevice): ScepRefusal | undefined {
  if (device.state === 'gone') return 'not-enrolling';
  return device.identityKey === null && device.lapsed ? 'lapsed' : undefined;
}

/** All that an answer depends on beside the message: while this is the same, so is the answer. */
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

function nextCertificateAgain({ renewal }: EnrollingDevice, request: PkiRequest): Decision {
  const certificateDer = renewal?.identityCertificate ?? null;
  return isSameKey(renewal, request) && certificateDer !== null
    ? { kind: 'certificate', certificateDer }
    : refused('another-key');
}

function certificateAgain(device: EnrollingDevice, request: PkiRequest): Decision {
  return isSameKey(device, request) && device.identityCertificate !== null
    ? { kind: 'certificate', certificateDer: device.identityCertificate }
    : refused('another-key');
}

/** The answer is encrypted to the signer's key, which only RSA allows. @see RFC 8894 §3.2.2 */
function canBeAnswered(signerCertificateDer: Uint8Array): boolean {
  return publicKeyFrom(readCertificate(signerCertificateDer).publicKeySpkiDer).asymmetricKeyType === 'rsa';
}

function refused(refusal: ScepRefusal): Decision {
  return { kind: 'refused', refusal };
}

function isSameKey(identity: Pick<EnrollingDevice, 'identityKey'> | null, request: PkiRequest): boolean {
  const key = identity?.identityKey ?? null;
  return key !== null && Buffer.compare(key, keyDigest(request.publicKeySpkiDer)) === 0;
}

function keyDigest(spkiDer: Uint8Array): Buffer {
  return createHash('sha256').update(spkiDer).digest();
}

/** Compares digests, so that time says nothing about the challenge, nor its length. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** On its own: a small buffer is a view into 64 KiB that it shares with others, and whoever remembers it keeps all of them. */
function kept(outcome: ScepOutcome): ScepOutcome {
  return outcome.kind === 'answer' ? { ...outcome, body: Buffer.from(new Uint8Array(outcome.body).buffer) } : outcome;
}
