/** Makes the certificate of a device's identity. Writes nothing: whether it counts is decided by who stores it. */
import { createHash } from 'node:crypto';
import type { Queryable } from '../database/connection.ts';
import type { EnrollingDevice, IssuedIdentity } from '../devices/device-identity.ts';
import type { Authority } from '../domain/authorities.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
import type { IdentityRequest } from '../platforms/protocol.ts';
import { issueCertificateOffLoop, randomSerialHex, validFrom } from '../protocol/x509/certificate.ts';
import { fingerprintOf, readCertificate } from '../protocol/x509/certificate-fields.ts';

export interface MintingOptions {
  readonly db: Queryable;
  readonly deviceAuthority: Authority;
  /** By which certificates are judged and issued. */
  readonly now: () => Promise<Date>;
}

export async function mintIdentity(
  { db, deviceAuthority, now }: MintingOptions,
  device: EnrollingDevice,
  request: IdentityRequest,
): Promise<IssuedIdentity> {
  const { validDays } = await readSetting(db, 'device-identity', identitySettingsSchema);
  const issuedAt = await now();
  const certificateDer = await issueCertificateOffLoop({
    authority: deviceAuthority,
    publicKey: { spkiDer: request.publicKeySpkiDer },
    subject: { commonName: device.deviceId, organizationalUnit: device.accountName },
    days: validDays,
    notBefore: validFrom(issuedAt),
    serialHex: randomSerialHex(),
    usage: 'client',
  });
  return {
    transactionId: request.transactionId,
    key: keyDigest(request.publicKeySpkiDer),
    certificateDer,
    fingerprint: fingerprintOf(certificateDer),
    issuedAt,
    expiresAt: readCertificate(certificateDer).notAfter,
  };
}

/** SHA-256 of a public key, by which keys are compared. */
export function keyDigest(spkiDer: Uint8Array): Buffer {
  return createHash('sha256').update(spkiDer).digest();
}
