/**
 * Which certificate a device request proves: by the `Mdm-Signature` over its body, or by the header in which the router
 * passes on the TLS client certificate. Protects: a proof that is present is always checked, and proofs of two
 * certificates are never treated as one: the device's rows decide whether both belong to it, and the fingerprint in the
 * device row whether the certificate is the enrolment's. On device addresses every error of this file is answered 400:
 * 401 would make a device leave management.
 */
import { BrambleError } from '../../base/errors.ts';
import { parseClientCert } from '../../protocol/client-cert-header.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { verifyDetached } from '../../protocol/cms/verification.ts';
import { fingerprintOf } from '../../protocol/x509/certificate-fields.ts';
import type { ProvenIdentity } from '../protocol.ts';

interface IdentityProof {
  /** The `Mdm-Signature` header. */
  readonly mdmSignature?: string | undefined;
  /** The `client-cert` header, only if the router or a trusted proxy set it. @see RFC 9440 §2.2 */
  readonly clientCertHeader?: string | undefined;
  /** The body as it was received. */
  readonly body: Uint8Array;
}

/**
 * The certificate whose key the request proves. `keys` caches parsed certificates. The certificate of a header is not
 * parsed: it only counts if a device row has its fingerprint.
 * @throws BrambleError ERR_IDENTITY_MISSING, ERR_SIGNATURE_INVALID, ERR_CLIENT_CERT_HEADER
 */
export function identityOf(proof: IdentityProof, keys?: CertificateKeys): ProvenIdentity {
  const signature = proof.mdmSignature === undefined ? undefined : verifyDetached(proof.mdmSignature, proof.body, keys);
  const presented =
    proof.clientCertHeader === undefined ? undefined : fingerprintOfHeader(proof.clientCertHeader, keys);
  const fingerprint = signature?.fingerprint ?? presented;
  const certificateDer = () => signature?.certificateDer ?? parseClientCert(proof.clientCertHeader ?? '');
  if (fingerprint === undefined) {
    throw new BrambleError(
      'ERR_IDENTITY_MISSING',
      'The request does not prove an identity: send an Mdm-Signature header, or use the TLS client certificate.',
    );
  }
  const otherInTls = presented === fingerprint ? undefined : presented;
  return { fingerprint, overTls: presented !== undefined, otherInTls, signature, certificateDer };
}

function fingerprintOfHeader(header: string, keys: CertificateKeys | undefined): string {
  return keys?.fingerprintOfHeader(header) ?? fingerprintOf(parseClientCert(header));
}
