/**
 * Verifies CMS signatures: the `Mdm-Signature` header of devices, SCEP messages, signed profiles. Invariant: the
 * certificate returned is the one that the signer names and whose key made the signature. The caller decides by its
 * fingerprint whether that certificate is the one issued to this enrolment.
 */
import { hash } from 'node:crypto';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { contentOf, derTag, expectTag, oidOf, timeOf } from '../der/reader.ts';
import { digestNamed, isSignedBy } from '../x509/signature-algorithm.ts';
import { type CertificateKeys, createCertificateKeys, type KnownCertificate } from './certificate-keys.ts';
import { cmsOid, readSignedData, type SignedData, type SignerInfo } from './signed-data.ts';

/** Longest accepted `Mdm-Signature` header, in characters. */
const maxSignatureLength = 65_536;

interface VerifiedSignature {
  readonly certificateDer: Uint8Array;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string;
  /** What the signature covers: the signed attributes, or the content itself. */
  readonly covered: Uint8Array;
  /** By the signer's clock; undefined when missing or unreadable. */
  readonly signedAt: Date | undefined;
}

function invalid(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_SIGNATURE_INVALID', `The signature is not valid: ${why}.`, { cause });
}

/**
 * Verifies an `Mdm-Signature` header over `body`, detached or with the content attached (which must equal the body).
 * `keys` keeps certificates between calls; without it every call parses the certificate again.
 * @throws BrambleError ERR_SIGNATURE_INVALID
 * @see RFC 5652 §5.4, §5.6
 */
export function verifyDetached(signatureBase64: string, body: Uint8Array, keys?: CertificateKeys): VerifiedSignature {
  if (signatureBase64.length > maxSignatureLength) throw invalid('it is too long');
  return asInvalid(() => {
    const signed = readSignedData(Buffer.from(signatureBase64, 'base64'), 'ber');
    if (signed.content !== undefined && Buffer.compare(signed.content, body) !== 0) {
      throw invalid('the attached content is not the body');
    }
    const { certificate, covered, signer } = verifySigner(signed, body, keys);
    const { certificateDer, fingerprint } = certificate;
    return { certificateDer, fingerprint, covered, signedAt: signingTimeOf(signer) };
  });
}

/** Verifies a message that carries its content. @throws BrambleError ERR_SIGNATURE_INVALID */
export function verifyAttached(bytes: Uint8Array, keys?: CertificateKeys): VerifiedContent {
  return verifySigned(
    asInvalid(() => readSignedData(bytes)),
    keys,
  );
}

interface VerifiedContent extends VerifiedSignature {
  readonly content: Uint8Array;
  readonly signer: SignerInfo;
}

/** The same for a message that has already been parsed. @throws BrambleError ERR_SIGNATURE_INVALID */
export function verifySigned(signed: SignedData, keys?: CertificateKeys): VerifiedContent {
  return asInvalid(() => {
    if (signed.content === undefined) throw invalid('the message carries no content');
    const { certificate, covered, signer } = verifySigner(signed, signed.content, keys);
    const { certificateDer, fingerprint } = certificate;
    return {
      ...{ certificateDer, fingerprint, covered, signedAt: signingTimeOf(signer) },
      ...{ signer, content: signed.content },
    };
  });
}

function asInvalid<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof BrambleError && error.code === 'ERR_SIGNATURE_INVALID') throw error;
    throw invalid(`it cannot be read (${messageOf(error)})`, error);
  }
}

function verifySigner(signed: SignedData, content: Uint8Array, keys = createCertificateKeys(0)) {
  const [signer, second] = signed.signers;
  if (signer === undefined || second !== undefined) throw invalid('there is not exactly one signer');
  const certificate = certificateOf(signer, signed.certificates, keys);
  const digest = digestNamed(signer.digestAlgorithm);
  const attributes = signer.signedAttributes;
  if (attributes === undefined) {
    // Attributes may be left out only where the content is plain data, and cannot have been signed as such attributes:
    // otherwise an existing signature over attributes could be passed off as a signature over content with the same bytes.
    if (signed.contentType !== cmsOid.data) throw invalid('signed attributes are missing');
    if (content[0] === derTag.set) throw invalid('signed attributes are missing, and the content could pass for some');
  } else {
    const contentType = attributes.values.get(cmsOid.contentType);
    if (oidOf(contentType) !== signed.contentType) throw invalid('the content type is not the one that was signed');
    const wanted = contentOf(expectTag(attributes.values.get(cmsOid.messageDigest), derTag.octetString));
    if (Buffer.compare(hash(digest, content, 'buffer'), wanted) !== 0) throw invalid('the content was changed');
  }
  const covered = attributes?.der ?? content;
  if (!isSignedBy(certificate.key, signer.signatureAlgorithm, digest, covered, signer.signature)) {
    throw invalid('it was not made with the key of its certificate');
  }
  return { certificate, signer, covered };
}

/** An unreadable time counts as absent: no signature is refused for it. @see RFC 5652 §11.3 */
function signingTimeOf({ signedAttributes }: SignerInfo): Date | undefined {
  const time = signedAttributes?.values.get(cmsOid.signingTime);
  if (time === undefined) return undefined;
  try {
    return timeOf(time);
  } catch (error) {
    if (isBrambleError(error, 'ERR_DER_MALFORMED')) return undefined;
    throw error;
  }
}

function certificateOf(
  signer: SignerInfo,
  certificates: readonly Uint8Array[],
  keys: CertificateKeys,
): KnownCertificate {
  const { identifier } = signer;
  for (const certificateDer of certificates) {
    const certificate = keys.get(certificateDer);
    const matches =
      identifier.kind === 'subject-key'
        ? certificate.subjectKeyIdentifier !== undefined &&
          Buffer.compare(certificate.subjectKeyIdentifier, identifier.keyIdentifier) === 0
        : Buffer.compare(certificate.serial, identifier.serial) === 0 &&
          Buffer.compare(certificate.issuerDer, identifier.issuerDer) === 0;
    if (matches) return certificate;
  }
  throw invalid('the signer’s certificate is not included');
}
