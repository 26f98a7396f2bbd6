/**
 * A router's certificate and key as a file, for both of its ports, and when the certificate is to be renewed. The key
 * lasts as long as the router: what the router reports about itself is bound to it.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isCertificateDue } from '../protocol/x509/certificate-renewal.ts';
import { certificatesIn, pemOf, type Trust } from './trusted-authorities.ts';

export const routerFileShape = z.object({
  certificatePem: z.string().min(1),
  privateKeyPem: z.string().min(1),
  domainAuthorityPem: z.string().min(1),
});
/** Contents of `BRAMBLE_HOME/router/<name>/router.json` (mode 0600). */
export type RouterFile = z.output<typeof routerFileShape>;

/** What diallers of the SRP port expect the router's certificate to be for, whatever its address. */
export const srpServerName = 'router.bramble.internal';

/** The longest validity that devices accept for a server certificate. */
export const routerCertificateDays = 825;

export function routerFolder(home: string, router: string): string {
  return join(home, 'router', router);
}

export function routerFilePath(home: string, router: string): string {
  return join(routerFolder(home, router), 'router.json');
}

/** @throws BrambleError ERR_ROUTER_FILE */
export async function readRouterFile(path: string): Promise<RouterFile> {
  try {
    return routerFileShape.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new BrambleError(
      'ERR_ROUTER_FILE',
      `The router's certificate and key cannot be read from ${path} (${messageOf(cause)}); issue them again.`,
      { cause },
    );
  }
}

/** Whether at most a third of its validity is left, or it is not valid yet. */
export function isRouterCertificateDue(certificatePem: string, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  return isCertificateDue({ notBefore: validFromDate, notAfter: validToDate }, now);
}

/** The same router's file, with what it is to trust at its next start, and the bridges behind its certificate. */
export function trustingRouterFile(file: RouterFile, trust: Pick<Trust, 'authorities' | 'bridges'>): RouterFile {
  const { raw } = new X509Certificate(file.certificatePem);
  return {
    ...file,
    certificatePem: pemOf([raw, ...trust.bridges]),
    domainAuthorityPem: pemOf(trust.authorities),
  };
}

/** Whether it is that already. */
export function isTrustingRouterFile(file: RouterFile, trust: Pick<Trust, 'authorities' | 'bridges'>): boolean {
  const { certificatePem, domainAuthorityPem } = trustingRouterFile(file, trust);
  return (
    certificatePem === pemOf(certificatesIn(file.certificatePem)) &&
    domainAuthorityPem === pemOf(certificatesIn(file.domainAuthorityPem))
  );
}
