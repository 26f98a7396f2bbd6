/**
 * Makes CMS SignedData (SHA-256, signed attributes). Invariant: `verification.ts` and OpenSSL accept what is signed
 * here.
 */
import { hash, type KeyObject } from 'node:crypto';
import { contextTag } from '../der/reader.ts';
import { derElement, derInteger, derNull, derOctets, derOid, derSequence, derSetOf, derTime } from '../der/writer.ts';
import { readCertificate } from '../x509/certificate-fields.ts';
import { signatureAlgorithmDer, signOffLoop, signWith } from '../x509/signature-algorithm.ts';
import { cmsOid } from './signed-data.ts';

interface SigningRequest {
  readonly key: KeyObject;
  readonly certificateDer: Uint8Array;
  readonly body: Uint8Array;
  readonly signingTime?: Date;
  /** Further certificates to carry, such as the issuer's. */
  readonly chainDer?: readonly Uint8Array[];
  /** Further signed attributes: object identifier and the DER of the one value. */
  readonly attributes?: readonly (readonly [oid: string, valueDer: Uint8Array])[];
}

/** The value of an `Mdm-Signature` header: base64 of a detached signature over `body`. */
export function signDetached(request: SigningRequest): string {
  const { attributeSet, signed } = toBeSigned(request, false);
  return signed(signWith(request.key, attributeSet).signature).toString('base64');
}

/** DER of a SignedData that carries `body`, such as a signed profile. */
export function signAttached(request: SigningRequest): Buffer {
  const { attributeSet, signed } = toBeSigned(request, true);
  return signed(signWith(request.key, attributeSet).signature);
}

/** As {@link signAttached}, with the signature made off the event loop. */
export async function signAttachedOffLoop(request: SigningRequest): Promise<Buffer> {
  const { attributeSet, signed } = toBeSigned(request, true);
  return signed(await signOffLoop(request.key, attributeSet));
}

/** DER of a SignedData that signs nothing and carries certificates. @see RFC 5652 §5.2 (the degenerate case) */
export function bundleCertificates(certificatesDer: readonly Uint8Array[]): Buffer {
  return contentInfoDer(
    cmsOid.signedData,
    derSequence(
      derInteger(1),
      derSetOf(),
      derSequence(derOid(cmsOid.data)),
      derElement(contextTag(0, true), ...certificatesDer),
      derSetOf(),
    ),
  );
}

/** @see RFC 5652 §3 */
export function contentInfoDer(type: string, contentDer: Uint8Array): Buffer {
  return derSequence(derOid(type), derElement(contextTag(0, true), contentDer));
}

/** What is signed, and the whole message once it is. */
function toBeSigned(
  request: SigningRequest,
  attached: boolean,
): { attributeSet: Buffer; signed: (signature: Uint8Array) => Buffer } {
  const { key, certificateDer, body, signingTime, chainDer = [], attributes = [] } = request;
  const { issuerDer, serial } = readCertificate(certificateDer);
  const sha256 = derSequence(derOid('2.16.840.1.101.3.4.2.1'), derNull());
  const attributeSet = derSetOf(
    attribute(cmsOid.contentType, derOid(cmsOid.data)),
    attribute(cmsOid.messageDigest, derOctets(hash('sha256', body, 'buffer'))),
    ...(signingTime === undefined ? [] : [attribute(cmsOid.signingTime, derTime(signingTime))]),
    ...attributes.map(([oid, valueDer]) => attribute(oid, valueDer)),
  );
  const sentAttributes = Buffer.from(attributeSet);
  sentAttributes[0] = contextTag(0, true);
  const content = attached ? [derElement(contextTag(0, true), derOctets(body))] : [];
  const signed = (signature: Uint8Array) => {
    const signer = derSequence(
      derInteger(1),
      derSequence(issuerDer, derInteger(serial)),
      sha256,
      sentAttributes,
      signerAlgorithmDer(key),
      derOctets(signature),
    );
    return contentInfoDer(
      cmsOid.signedData,
      derSequence(
        derInteger(1),
        derSetOf(sha256),
        derSequence(derOid(cmsOid.data), ...content),
        derElement(contextTag(0, true), certificateDer, ...chainDer),
        derSetOf(signer),
      ),
    );
  };
  return { attributeSet, signed };
}

/** With RSA the digest is named separately, once: every CMS implementation understands that. @see RFC 3370 §3.2 */
function signerAlgorithmDer(key: KeyObject): Buffer {
  return key.asymmetricKeyType === 'rsa'
    ? derSequence(derOid('1.2.840.113549.1.1.1'), derNull())
    : signatureAlgorithmDer(key);
}

function attribute(oid: string, valueDer: Uint8Array): Buffer {
  return derSequence(derOid(oid), derSetOf(valueDer));
}
