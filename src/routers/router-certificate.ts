/** The certificate of a router: for devices at its public port, and for those that dial its SRP port. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Authority } from '../domain/authorities.ts';
import type { Domain } from '../domain/domain.ts';
import { routerCertificateDays, srpServerName } from '../link/router-file.ts';
import { issueCertificate, randomSerialHex, validFrom } from '../protocol/x509/certificate.ts';

interface CertifiedRouter {
  authority: Authority;
  publicKeySpkiDer: Uint8Array;
  domain: Pick<Domain, 'name' | 'publicUrl' | 'tunnelHost'>;
  /** What diallers expect, if it is not the usual name. */
  serverName?: string;
  now: Date;
}

/** In PEM. All routers of a domain have the same names: a device may come to any of them. */
export function issueRouterCertificate(router: CertifiedRouter): string {
  const { authority, publicKeySpkiDer, serverName = srpServerName } = router;
  const { name: organization, publicUrl, tunnelHost } = router.domain;
  const publicHost = new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, '$1');
  const isAddress = isIP(publicHost) !== 0;
  const certificateDer = issueCertificate({
    authority,
    publicKey: { spkiDer: publicKeySpkiDer },
    subject: { commonName: publicHost, organization },
    days: routerCertificateDays,
    serialHex: randomSerialHex(),
    usage: 'server',
    dnsNames: [...new Set([...(isAddress ? [] : [publicHost]), tunnelHost, serverName, 'localhost'])],
    ipAddresses: [...new Set([...(isAddress ? [publicHost] : []), '127.0.0.1'])],
    notBefore: validFrom(router.now),
  });
  return new X509Certificate(certificateDer).toString();
}
