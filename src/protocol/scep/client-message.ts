/**
 * The device's side of SCEP, used by the simulator. Invariant: an answer is trusted only when signed by the authority
 * that was asked, for this transaction and nonce. @see RFC 8894 §3.3
 */
import { createHash, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { type ContentCipher, openEnvelope, sealEnvelope } from '../cms/enveloped-data.ts';
import { readSignedData } from '../cms/signed-data.ts';
import { signAttached } from '../cms/signing.ts';
import { verifyAttached } from '../cms/verification.ts';
import { selfSignedCertificate } from '../x509/certificate.ts';
import { fingerprintOf, readCertificate } from '../x509/certificate-fields.ts';
import { buildCertificateRequest } from '../x509/certificate-request.ts';
import { spkiDerOf } from '../x509/key-pair.ts';
import type { DistinguishedName } from '../x509/name.ts';
import {
  readScepAttributes,
  type ScepFailInfo,
  scepAttributesDer,
  scepContentType,
  scepMalformed,
} from './attributes.ts';

/**
 * The certificate to encrypt to and to expect answers from: the only one of an answer to `GetCACert`, or the one among
 * several that is no authority. @throws BrambleError ERR_SCEP_MALFORMED @see RFC 8894 §4.2.1
 */
export function registrationCertificateIn(contentType: string, body: Uint8Array): Uint8Array {
  if (!contentType.startsWith(scepContentType.certificates)) return body;
  try {
    const found = readSignedData(body).certificates.find((der) => !new X509Certificate(der).ca);
    if (found === undefined) throw scepMalformed('none of the certificates belongs to a registration authority');
    return Uint8Array.from(found);
  } catch (error) {
    if (isBrambleError(error, 'ERR_SCEP_MALFORMED')) throw error;
    throw scepMalformed('the certificates cannot be read', error);
  }
}

/** What has to be kept until the answer arrives. */
export interface PendingRequest {
  readonly der: Buffer;
  readonly transactionId: string;
  readonly senderNonce: Uint8Array;
  readonly key: KeyObject;
  /** The certificate that signed the request, to which the answer is encrypted. */
  readonly signerCertificateDer: Uint8Array;
  /** The key to certify. */
  readonly publicKeySpkiDer: Uint8Array;
}

/**
 * A PKCSReq with a self-signed certificate, or with `renew` (the identity and its key) a RenewalReq. The transaction
 * identifier is made from the key, so that a retry is the same transaction.
 */
export function buildPkcsReq(options: {
  /** RSA: the answer is encrypted to it. */
  readonly key: KeyObject;
  readonly subject: DistinguishedName;
  readonly challengePassword?: string;
  readonly raCertificateDer: Uint8Array;
  readonly cipher?: ContentCipher;
  readonly renew?: { readonly key: KeyObject; readonly certificateDer: Uint8Array };
  readonly now?: Date;
}): PendingRequest {
  const {
    key,
    subject,
    challengePassword,
    raCertificateDer,
    cipher = 'aes-128-cbc',
    renew,
    now = new Date(),
  } = options;
  const publicKeySpkiDer = spkiDerOf(createPublicKey(key));
  const csr = buildCertificateRequest({
    key,
    publicKeySpkiDer,
    subject,
    ...(challengePassword === undefined ? {} : { challengePassword }),
  });
  const transactionId = createHash('sha256').update(publicKeySpkiDer).digest('hex');
  const senderNonce = randomBytes(16);
  const signer = renew ?? { key, certificateDer: selfSignedCertificate({ key, subject, days: 1, now }) };
  const der = signAttached({
    key: signer.key,
    certificateDer: signer.certificateDer,
    body: sealEnvelope(csr, raCertificateDer, cipher),
    attributes: scepAttributesDer({ messageType: renew ? 'RenewalReq' : 'PKCSReq', transactionId, senderNonce }),
  });
  return {
    der,
    transactionId,
    senderNonce,
    key: signer.key,
    signerCertificateDer: signer.certificateDer,
    publicKeySpkiDer,
  };
}

type CertRep =
  | { readonly status: 'success'; readonly certificateDer: Uint8Array }
  | { readonly status: 'failure'; readonly failInfo: ScepFailInfo | undefined }
  | { readonly status: 'pending' };

/** @throws BrambleError ERR_SCEP_MALFORMED, ERR_SCEP_BAD_MESSAGE_CHECK */
export function parseCertRep(der: Uint8Array, request: PendingRequest, raCertificateDer: Uint8Array): CertRep {
  try {
    const verified = verifyAttached(der);
    const attributes = readScepAttributes(verified.signer.signedAttributes);
    if (verified.fingerprint !== fingerprintOf(raCertificateDer)) throw untrue('it is signed by someone else');
    if (attributes.messageType !== 'CertRep') throw scepMalformed('it is not a CertRep');
    if (attributes.transactionId !== request.transactionId) throw untrue('it is for another transaction');
    if (Buffer.compare(attributes.recipientNonce ?? new Uint8Array(), request.senderNonce) !== 0) {
      throw untrue('it is the answer to another request');
    }
    switch (attributes.status) {
      case 'success':
        return { status: 'success', certificateDer: certificateIn(verified.content, request) };
      case 'failure':
        return { status: 'failure', failInfo: attributes.failInfo };
      case 'pending':
        return { status: 'pending' };
      case undefined:
        throw scepMalformed('it has no status');
    }
  } catch (error) {
    if (!isBrambleError(error) || error.code.startsWith('ERR_SCEP_')) throw error;
    throw error.code === 'ERR_SIGNATURE_INVALID'
      ? untrue(messageOf(error), error)
      : scepMalformed(error.message, error);
  }
}

/** The certificate for the requested key, wherever it is in the bundle. */
function certificateIn(envelope: Uint8Array, request: PendingRequest): Uint8Array {
  const { content } = openEnvelope(envelope, [{ key: request.key, certificateDer: request.signerCertificateDer }]);
  for (const certificateDer of readSignedData(content).certificates) {
    const { publicKeySpkiDer } = readCertificate(certificateDer);
    if (Buffer.compare(publicKeySpkiDer, request.publicKeySpkiDer) === 0) return Uint8Array.from(certificateDer);
  }
  throw scepMalformed('it contains no certificate for the key that was sent');
}

function untrue(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_SCEP_BAD_MESSAGE_CHECK', `The SCEP answer cannot be trusted: ${why}.`, { cause });
}
