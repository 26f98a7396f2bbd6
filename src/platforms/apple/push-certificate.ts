/** Checks a push certificate before it is stored: an unusable one would silently leave every device asleep. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';

interface PushCertificate {
  /** Its topic: the user id of its subject; devices are woken under it and keep it for ever. */
  channel: string;
  expiresAt: Date;
}

/**
 * Reads certificate and key as PEM.
 * @throws BrambleError ERR_PUSH_CERTIFICATE when one is missing or cannot be read, when they do not belong together, when the
 *   certificate is not valid at `now`, or names no topic
 */
export function inspectPushCertificate(
  pem: { certificatePem?: string | undefined; privateKeyPem?: string | undefined },
  now: Date,
): PushCertificate {
  const { certificatePem, privateKeyPem } = pem;
  if (certificatePem === undefined) throw refused('the certificate is missing');
  if (privateKeyPem === undefined) throw refused('its private key is missing');
  const certificate = readCertificate(certificatePem);
  if (!certificate.checkPrivateKey(readKey(privateKeyPem)))
    throw refused('the private key belongs to another certificate');
  const { validFromDate, validToDate } = certificate;
  if (validToDate <= now) throw refused(`it expired on ${dayOf(validToDate)}; renew it with the same account`);
  if (validFromDate > now)
    throw refused(`it is not valid before ${dayOf(validFromDate)}; is this machine's clock right?`);
  const topic = certificate.toLegacyObject().subject['UID'];
  if (typeof topic !== 'string' || topic === '')
    throw refused('its subject names no topic (user id): it is no MDM certificate');
  return { channel: topic, expiresAt: validToDate };
}

/** For a stored one, whether or not it is still valid; null if it cannot be read. */
export function certificateFacts(pem: string): { issuer: string; selfSigned: boolean; expiresAt: Date } | null {
  try {
    const certificate = new X509Certificate(pem);
    return {
      issuer: certificate.issuer.replaceAll('\n', ', '),
      selfSigned: certificate.checkIssued(certificate),
      expiresAt: certificate.validToDate,
    };
  } catch {
    return null;
  }
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    // OpenSSL's message names OpenSSL's source.
    throw refused(
      'the certificate cannot be read: it is damaged, or not PEM, which begins with -----BEGIN CERTIFICATE-----',
    );
  }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw refused(
      'the private key cannot be read: it is damaged, not PEM (-----BEGIN PRIVATE KEY-----), or has a passphrase',
    );
  }
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function refused(why: string): BrambleError {
  return new BrambleError('ERR_PUSH_CERTIFICATE', `The push certificate was rejected: ${why}. Nothing was changed.`);
}
