/**
 * Whether a certificate that matches none of an enrolment's identities was nevertheless issued to it: then the rows are
 * older than the device. Its dates do not matter, since it grants no access.
 */
import { X509Certificate } from 'node:crypto';
import { isBrambleError } from '../base/errors.ts';
import type { DeviceId } from '../base/ids.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';

export function wasIssuedTo(
  deviceId: DeviceId,
  certificateDer: () => Uint8Array,
  issuersDer: readonly Uint8Array[],
): boolean {
  try {
    const der = certificateDer();
    const { notBefore } = readCertificate(der);
    if (!issuersDer.some((issuer) => isIssuedBy(der, issuer, notBefore))) return false;
    return new X509Certificate(der).subject.split('\n').includes(`CN=${deviceId}`);
  } catch (error) {
    // Whatever a stranger shows.
    if (isBrambleError(error)) return false;
    throw error;
  }
}
