/**
 * Issues SRP credentials, and certifies the keys of those that renew theirs (`credential-issuing.ts`): an instance or a
 * connection service authenticates with it to the router. Protects: the private key is never stored; it is handed out
 * once, in the credential file.
 */
import { X509Certificate } from 'node:crypto';
import type { SrpIdentifier } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import type { Authority } from '../domain/authorities.ts';
import type { RouterAddress, SrpCredential } from '../link/credential.ts';
import { normalSerial } from '../link/messages.ts';
import { pemOf } from '../link/trusted-authorities.ts';
import { issueCertificate, randomSerialHex, validFrom } from '../protocol/x509/certificate.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';
import { isCertificateDue } from '../protocol/x509/certificate-renewal.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import type { DomainTrust } from './domain-trust.ts';
import { type IssuedCertificate, insertSrpCredential } from './srp-credential-store.ts';

/** Renewed when a third of it is left: `isSrpRenewalDue`. */
const srpCredentialDays = 90;

interface SrpCredentialOrder {
  readonly identifier: SrpIdentifier;
  /** The domain authority. */
  readonly authority: Authority;
  readonly routers: readonly RouterAddress[];
  /** What the holder trusts, and what stands behind its certificate; the authority alone where none is replaced. */
  readonly trust?: DomainTrust;
}

/** A fresh credential, with the serial under which it is listed and revoked. */
interface IssuedSrpCredential {
  /** As `normalSerial` writes it. */
  readonly serial: string;
  readonly expiresAt: Date;
  /** The content of the credential file, handed out once. */
  readonly file: SrpCredential;
}

/** Issues a credential to an instance that is not retired, or a connection service. Earlier ones stay valid. */
export async function issueSrpCredential(
  tx: Transaction,
  order: SrpCredentialOrder,
): Promise<IssuedSrpCredential | 'not-found'> {
  const { certificate, credential } = await makeCredential(order, await databaseTime(tx));
  return (await insertSrpCredential(tx, certificate)) ? credential : 'not-found';
}

/** A certificate for a key that its holder made and keeps. */
export function certifySrpKey(order: {
  readonly identifier: SrpIdentifier;
  readonly authority: Authority;
  readonly publicKeySpkiDer: Uint8Array;
  readonly now: Date;
}): IssuedCertificate {
  const serial = normalSerial(randomSerialHex());
  const certificateDer = issueCertificate({
    authority: order.authority,
    publicKey: { spkiDer: order.publicKeySpkiDer },
    subject: { commonName: order.identifier },
    days: srpCredentialDays,
    serialHex: serial,
    usage: 'client',
    notBefore: validFrom(order.now),
  });
  const { notBefore, notAfter } = readCertificate(certificateDer);
  return { serial, identifier: order.identifier, certificateDer, notBefore, notAfter };
}

/** The serial of a credential file's certificate, as it is listed. */
export function srpCredentialSerial(file: SrpCredential): string {
  return normalSerial(new X509Certificate(file.certificatePem).serialNumber);
}

/** Whether it is time to renew: in the last third of the validity, or before it begins. */
export function isSrpRenewalDue(file: SrpCredential, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(file.certificatePem);
  return isCertificateDue({ notBefore: validFromDate, notAfter: validToDate }, now);
}

async function makeCredential(
  order: SrpCredentialOrder,
  now: Date,
): Promise<{ certificate: IssuedCertificate; credential: IssuedSrpCredential }> {
  const keys = await createEcKeyPair();
  const certificate = certifySrpKey({ ...order, publicKeySpkiDer: spkiDerOf(keys.publicKey), now });
  return {
    certificate,
    credential: {
      serial: certificate.serial,
      expiresAt: certificate.notAfter,
      file: {
        identifier: order.identifier,
        certificatePem: pemOf([certificate.certificateDer, ...(order.trust?.bridges ?? [])]),
        privateKeyPem: privateKeyPemOf(keys.privateKey),
        domainAuthorityPem: pemOf(order.trust?.authorities ?? [order.authority.certificateDer]),
        routers: [...order.routers],
      },
    },
  };
}
