/**
 * The registration authority's side of SCEP: reads requests, builds answers. Invariant: what `parsePkiMessage` returns
 * is signed by the certificate it names, and its sender holds the key to be certified. The caller checks the challenge.
 * @see RFC 8894 §3
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import type { ErrorCode } from '../../base/error-codes.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { type ContentCipher, openEnvelope, sealEnvelope } from '../cms/enveloped-data.ts';
import { readSignedData, type SignedData } from '../cms/signed-data.ts';
import { bundleCertificates, signAttachedOffLoop } from '../cms/signing.ts';
import { verifySigned } from '../cms/verification.ts';
import { type CertificateRequest, readCertificateRequest } from '../x509/certificate-request.ts';
import type { DistinguishedName } from '../x509/name.ts';
import {
  readScepAttributes,
  type ScepAttributes,
  type ScepFailInfo,
  scepAttributesDer,
  scepMalformed,
} from './attributes.ts';

export interface RegistrationAuthority {
  /** RSA: it opens envelopes and signs answers. */
  readonly raKey: KeyObject;
  readonly raCertificate: Uint8Array;
}

export interface PkiRequest {
  /** The certificate that the request was encrypted to: its sender knows it, and expects the answer to be signed with it. */
  readonly registration: RegistrationAuthority;
  readonly transactionId: string;
  readonly messageType: 'PKCSReq' | 'RenewalReq';
  readonly senderNonce: Uint8Array;
  /** Self-signed for a first request; the identity to be renewed for a RenewalReq (the caller checks its issuer). */
  readonly signerCertificateDer: Uint8Array;
  readonly csrDer: Uint8Array;
  readonly challengePassword: string | undefined;
  readonly publicKeySpkiDer: Uint8Array;
  readonly subject: DistinguishedName;
  /** The cipher of the request, best used for the answer too. */
  readonly cipher: ContentCipher;
}

/**
 * Reads and verifies a request to one of the registration authorities. Errors from where its transaction is known carry
 * `details.transactionId`, `details.senderNonceHex` and `details.failInfo`, from which `failureOf` makes an answer.
 * @throws BrambleError ERR_SCEP_MALFORMED: it cannot be read, or the envelope not be opened
 * @throws BrambleError ERR_SCEP_BAD_MESSAGE_CHECK: the message's signature, or that of the CSR, does not hold
 * @throws BrambleError ERR_SCEP_BAD_REQUEST: another message type, an algorithm that is not accepted, or a key that is not
 * RSA >= 2048 or EC P-256
 */
export function parsePkiMessage(der: Uint8Array, registrations: readonly RegistrationAuthority[]): PkiRequest {
  const { signed, attributes } = readMessage(der);
  const { transactionId, senderNonce, messageType } = attributes;
  const refuse = (code: ErrorCode, failInfo: ScepFailInfo, message: string, cause?: unknown): BrambleError =>
    new BrambleError(code, message, {
      cause,
      details: { transactionId, senderNonceHex: Buffer.from(senderNonce).toString('hex'), failInfo },
    });
  const refusalOf = (error: BrambleError): BrambleError => {
    switch (error.code) {
      case 'ERR_SCEP_BAD_REQUEST':
        return error;
      case 'ERR_SIGNATURE_INVALID':
        return refuse('ERR_SCEP_BAD_MESSAGE_CHECK', 'badMessageCheck', error.message, error);
      case 'ERR_ALGORITHM_UNSUPPORTED':
        return refuse('ERR_SCEP_BAD_REQUEST', 'badAlg', error.message, error);
      default:
        return refuse('ERR_SCEP_MALFORMED', 'badRequest', `The SCEP request cannot be read: ${error.message}`, error);
    }
  };
  try {
    const { certificateDer: signerCertificateDer, content: envelope } = verifySigned(signed);
    if (messageType !== 'PKCSReq' && messageType !== 'RenewalReq') {
      throw refuse('ERR_SCEP_BAD_REQUEST', 'badRequest', `SCEP messages of the type ${messageType} are not supported.`);
    }
    const recipients = registrations.map((registration) => ({
      key: registration.raKey,
      certificateDer: registration.raCertificate,
      registration,
    }));
    const { content, cipher, recipient } = openEnvelope(envelope, recipients);
    const request = readCertificateRequest(content);
    if (!isStrong(request)) {
      throw refuse(
        'ERR_SCEP_BAD_REQUEST',
        'badAlg',
        'The key is too weak: use RSA of 2,048 bits or more, or EC P-256.',
      );
    }
    const { challengePassword, publicKeySpkiDer, subject } = request;
    return {
      registration: recipient.registration,
      transactionId,
      messageType,
      senderNonce,
      signerCertificateDer,
      csrDer: content,
      challengePassword,
      publicKeySpkiDer,
      subject,
      cipher,
    };
  } catch (error) {
    if (!isBrambleError(error)) throw error;
    // Why a signature could not be checked is more useful than the fact that it could not.
    throw refusalOf(isBrambleError(error.cause, 'ERR_ALGORITHM_UNSUPPORTED') ? error.cause : error);
  }
}

/**
 * What an answer refers to, unproven and without any work of the keys: for a refusal that is certain whatever the message says.
 * @throws BrambleError ERR_SCEP_MALFORMED
 */
export function readScepReference(der: Uint8Array): ScepReference {
  const { transactionId, senderNonce } = readMessage(der).attributes;
  return { transactionId, senderNonce };
}

/** The message before its signature was checked: from here on its sender can get an answer. */
function readMessage(der: Uint8Array): { signed: SignedData; attributes: ScepAttributes } {
  try {
    const signed = readSignedData(der, 'ber');
    return { signed, attributes: readScepAttributes(signed.signers[0]?.signedAttributes) };
  } catch (error) {
    if (!isBrambleError(error) || error.code === 'ERR_SCEP_MALFORMED') throw error;
    throw scepMalformed('its encoding is wrong', error);
  }
}

function isStrong({ publicKey }: CertificateRequest): boolean {
  const { modulusLength = 0, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  return publicKey.asymmetricKeyType === 'rsa' ? modulusLength >= 2048 : namedCurve === 'prime256v1';
}

/** What a CertRep answers to: from the request itself, or from the error it ended in (`failureOf`). */
interface ScepReference {
  readonly transactionId: string;
  readonly senderNonce: Uint8Array;
}

type CertRepOutcome =
  | {
      readonly status: 'success';
      readonly certificateDer: Uint8Array;
      /** The certificate of the request's signer, whose RSA key opens the answer. */
      readonly recipientCertificateDer: Uint8Array;
      readonly cipher: ContentCipher;
      readonly chainDer?: readonly Uint8Array[];
    }
  | { readonly status: 'failure'; readonly failInfo: ScepFailInfo }
  | { readonly status: 'pending' };

/**
 * DER of a CertRep; its signature is made beside the event loop.
 * @throws BrambleError ERR_ENVELOPE_UNREADABLE when the recipient's key is not RSA @see RFC 8894 §3.3.2
 */
export async function buildCertRep(
  reference: ScepReference,
  outcome: CertRepOutcome,
  { raKey, raCertificate }: RegistrationAuthority,
): Promise<Buffer> {
  const { transactionId, senderNonce } = reference;
  let body: Uint8Array = new Uint8Array();
  if (outcome.status === 'success') {
    const bundle = bundleCertificates([outcome.certificateDer, ...(outcome.chainDer ?? [])]);
    body = sealEnvelope(bundle, outcome.recipientCertificateDer, outcome.cipher);
  }
  const attributes = scepAttributesDer({
    messageType: 'CertRep',
    transactionId,
    senderNonce: randomBytes(16),
    recipientNonce: senderNonce,
    status: outcome.status,
    ...(outcome.status === 'failure' ? { failInfo: outcome.failInfo } : {}),
  });
  return await signAttachedOffLoop({ key: raKey, certificateDer: raCertificate, body, attributes });
}

/** How to answer a refused request with a CertRep; undefined when not even its transaction is known (then answer 400). */
export function failureOf(error: unknown): { reference: ScepReference; failInfo: ScepFailInfo } | undefined {
  if (!isBrambleError(error)) return undefined;
  const { transactionId, senderNonceHex, failInfo } = error.details;
  if (typeof transactionId !== 'string' || typeof senderNonceHex !== 'string') return undefined;
  const known = failInfo === 'badAlg' || failInfo === 'badMessageCheck' ? failInfo : 'badRequest';
  return { reference: { transactionId, senderNonce: Buffer.from(senderNonceHex, 'hex') }, failInfo: known };
}
