/**
 * A router's certificate on a host that joined, as it becomes `router.json`, which is replaced as a whole.
 *
 * Protects: the database carries the answer and is not trusted with it: only a certificate for the router's own key from an
 * authority of the domain is written.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeWholeFile } from '../../database/whole-file.ts';
import { isRouterCertificateDue, type RouterFile, routerFilePath, trustingRouterFile } from '../../link/router-file.ts';
import { issuerAmong, type Trust } from '../../link/trusted-authorities.ts';

/** @throws TypeError for a certificate that is not this router's */
export async function takeRouterCertificate(
  home: string,
  router: string,
  { certificatePem, privateKeyPem }: Pick<RouterFile, 'certificatePem' | 'privateKeyPem'>,
  trust: Trust,
): Promise<void> {
  const certificate = new X509Certificate(certificatePem);
  if (!certificate.checkPrivateKey(createPrivateKey(privateKeyPem))) {
    throw new TypeError(`the certificate that was issued for ${router} is for another key`);
  }
  if (issuerAmong(certificate, trust.authorities) === null) {
    throw new TypeError(`the certificate for ${router} was issued by none of the domain’s authorities`);
  }
  await writeRouterFile(home, router, { certificatePem, privateKeyPem, domainAuthorityPem: '' }, trust);
}

/** With what the router is to trust at its next start. */
export async function writeRouterFile(home: string, router: string, file: RouterFile, trust: Trust): Promise<void> {
  const text = `${JSON.stringify(trustingRouterFile(file, trust), null, 2)}\n`;
  await writeWholeFile(routerFilePath(home, router), text, 'w');
}

/** Whether it is to be renewed: it ends soon, or another authority issues by now. */
export function isRenewalDue({ certificatePem }: RouterFile, { authorities, issues }: Trust, now: Date): boolean {
  if (isRouterCertificateDue(certificatePem, now)) return true;
  return issues !== null && issuerAmong(new X509Certificate(certificatePem), authorities) !== issues;
}
