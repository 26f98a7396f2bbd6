/** A certificate for a server on loopback, and the root to trust it by: made anew each time, kept nowhere. */
import { X509Certificate } from 'node:crypto';
import { createAuthority, issueCertificate, randomSerialHex } from '../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';

export interface LoopbackCertificate {
  readonly keyPem: string;
  /** The server's own certificate. */
  readonly certificatePem: string;
  /** The root it was issued by. */
  readonly caPem: string;
}

/** For `localhost`, 127.0.0.1 and the further names given. */
export async function createLoopbackCertificate(
  commonName: string,
  dnsNames: readonly string[] = [],
): Promise<LoopbackCertificate> {
  const authority = await createAuthority({ commonName: `${commonName} root`, algorithm: 'EC-P256', days: 30 });
  const { privateKey, publicKey } = await createEcKeyPair();
  const certificate = issueCertificate({
    authority,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName },
    days: 30,
    serialHex: randomSerialHex(),
    usage: 'server',
    dnsNames: ['localhost', ...dnsNames],
    ipAddresses: ['127.0.0.1'],
  });
  return {
    keyPem: privateKeyPemOf(privateKey),
    certificatePem: pemOf(certificate),
    caPem: pemOf(authority.certificateDer),
  };
}

/** A DER certificate in PEM. */
export function pemOf(certificateDer: Uint8Array): string {
  return new X509Certificate(certificateDer).toString();
}
