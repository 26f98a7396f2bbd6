/** Whose certificates `bramble` accepts of administration services, where an authority was named: its own, and no public one's. */
import { X509Certificate } from 'node:crypto';
import { setDefaultCACertificates } from 'node:tls';
import { BrambleError } from '../base/errors.ts';

/** For all connections of this process from now on, `fetch` included, which takes no authority of its own. */
export function trustOnly(ca: string): void {
  setDefaultCACertificates([ca]);
}

/** @throws BrambleError ERR_ADMIN_ADDRESS unless the text is certificates in PEM */
export function assertCertificates(text: string, file: string): void {
  try {
    new X509Certificate(text);
  } catch (cause) {
    throw new BrambleError('ERR_ADMIN_ADDRESS', `${file} contains no certificate in PEM.`, { cause });
  }
}
