/**
 * Issues X.509 certificates: the domain's authorities, SRP credentials, devices' identities, TLS servers.
 * Invariant: only authorities carry CA:TRUE, and a certificate is never valid longer than its authority.
 * @see RFC 5280 §4
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { BrambleError } from '../../base/errors.ts';
import { bitStringOf, childrenOf, contextTag, derTag, expectTag, readWhole } from '../der/reader.ts';
import { derBits, derBoolean, derElement, derInteger, derOctets, derOid, derSequence, derTime } from '../der/writer.ts';
import { readCertificate } from './certificate-fields.ts';
import { readCertificateRequest } from './certificate-request.ts';
import { createKeyPair, type KeyAlgorithm, privateKeyPemOf, spkiDerOf } from './key-pair.ts';
import { type DistinguishedName, nameDer } from './name.ts';
import { publicKeyFrom } from './public-key.ts';
import { signatureAlgorithmDer, signOffLoop, signWith } from './signature-algorithm.ts';

export interface Authority {
  readonly certificateDer: Uint8Array;
  readonly privateKeyPem: string;
}

/**
 * `registration`: signs SCEP answers and opens SCEP envelopes. `profile-signer`: signs profiles that people open.
 * `route-signer`: signs answers to routers.
 */
type CertificateUsage = 'client' | 'server' | 'both' | 'registration' | 'profile-signer' | 'route-signer';

/** The purpose of a route signer, which no other certificate of a domain has: id-kp-documentSigning. @see RFC 9336 */
export const routeSignerPurpose = '1.3.6.1.5.5.7.3.36';

export interface CertificateOrder {
  readonly authority: Authority;
  /** The key to certify: as such, or in a PKCS #10 request, whose subject is *not* taken over. */
  readonly publicKey: { readonly spkiDer: Uint8Array } | { readonly csrDer: Uint8Array };
  readonly subject: DistinguishedName;
  readonly days: number;
  /** Positive, at most 20 bytes, unique for the authority: see `randomSerialHex`. */
  readonly serialHex: string;
  readonly usage: CertificateUsage;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** When it begins to be valid; by default now, less five minutes for clocks that are behind. */
  readonly notBefore?: Date;
}

const dayMs = 86_400_000;
/** How long before its issue a certificate becomes valid: other clocks may be behind. */
const clockSkewMs = 300_000;

/** When a certificate that is issued at this time begins to be valid. */
export function validFrom(issuedAt: Date): Date {
  return new Date(issuedAt.getTime() - clockSkewMs);
}

/** Sixteen random bytes in hex, positive and without a leading zero. */
export function randomSerialHex(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** A new self-signed authority with a key of its own. */
export async function createAuthority(options: {
  readonly commonName: string;
  readonly organization?: string;
  readonly algorithm: KeyAlgorithm;
  readonly days: number;
  readonly now?: Date;
}): Promise<Authority> {
  const { commonName, organization, algorithm, days, now = new Date() } = options;
  const { privateKey, publicKey } = await createKeyPair(algorithm);
  const subjectDer = nameDer({ commonName, ...(organization === undefined ? {} : { organization }) });
  const spkiDer = spkiDerOf(publicKey);
  const notBefore = validFrom(now);
  const certificateDer = signedCertificate({
    issuerKey: privateKey,
    issuerDer: subjectDer,
    subjectDer,
    spkiDer,
    serialHex: randomSerialHex(),
    notBefore,
    notAfter: new Date(now.getTime() + days * dayMs),
    extensions: authorityExtensions(spkiDer),
  });
  return { certificateDer, privateKeyPem: privateKeyPemOf(privateKey) };
}

/**
 * A bridge to an authority's successor: its name and key, signed by the authority. Who trusts only the authority follows it to
 * what the successor issues. @see RFC 4210 §4.4, "new with old"
 */
export function certifySuccessor(authority: Authority, successorDer: Uint8Array): Buffer {
  const issuer = readCertificate(authority.certificateDer);
  const { subjectDer, publicKeySpkiDer, notBefore, notAfter } = readCertificate(successorDer);
  return signedCertificate({
    issuerKey: createPrivateKey(authority.privateKeyPem),
    issuerDer: issuer.subjectDer,
    subjectDer,
    spkiDer: publicKeySpkiDer,
    serialHex: randomSerialHex(),
    notBefore: new Date(Math.max(notBefore.getTime(), issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(notAfter.getTime(), issuer.notAfter.getTime())),
    extensions: [...authorityExtensions(publicKeySpkiDer), ...authorityKeyIdentifier(issuer.subjectKeyIdentifier)],
  });
}

/** It certifies, and does nothing else. */
function authorityExtensions(spkiDer: Uint8Array): Buffer[] {
  return [
    extension('2.5.29.19', true, derSequence(derBoolean(true))),
    extension('2.5.29.15', true, derBits(Uint8Array.of(0x06), 1)),
    extension('2.5.29.14', false, derOctets(keyIdentifierOf(spkiDer))),
  ];
}

/**
 * A certificate in DER, signed by the authority.
 * @throws BrambleError ERR_DER_MALFORMED, ERR_ALGORITHM_UNSUPPORTED, ERR_SIGNATURE_INVALID for a bad key or request
 * @throws BrambleError ERR_CERTIFICATE_ORDER for a serial or address that cannot be
 */
export function issueCertificate(order: CertificateOrder): Buffer {
  return signedCertificate(partsOf(order));
}

/** As {@link issueCertificate}, the signature made beside the event loop. */
export async function issueCertificateOffLoop(order: CertificateOrder): Promise<Buffer> {
  const parts = partsOf(order);
  const { tbs, signed } = toBeSigned(parts);
  return signed(await signOffLoop(parts.issuerKey, tbs));
}

function partsOf(order: CertificateOrder): CertificateParts {
  const { authority, subject, days, serialHex, usage, dnsNames = [], ipAddresses = [] } = order;
  const issuer = readCertificate(authority.certificateDer);
  const spkiDer =
    'csrDer' in order.publicKey
      ? readCertificateRequest(order.publicKey.csrDer).publicKeySpkiDer
      : order.publicKey.spkiDer;
  const key = publicKeyFrom(spkiDer);
  const notBefore = order.notBefore ?? validFrom(new Date());
  const wantedEnd = notBefore.getTime() + clockSkewMs + days * dayMs;
  const alternativeNames = [...dnsNames.map(dnsName), ...ipAddresses.map(ipName)];
  return {
    issuerKey: createPrivateKey(authority.privateKeyPem),
    issuerDer: issuer.subjectDer,
    subjectDer: nameDer(subject),
    spkiDer,
    serialHex,
    notBefore,
    notAfter: new Date(Math.min(wantedEnd, issuer.notAfter.getTime())),
    extensions: [
      extension('2.5.29.19', true, derSequence()),
      extension('2.5.29.15', true, usage === 'profile-signer' ? signatureOnly() : keyUsageBits(key)),
      ...extendedKeyUsage(usage),
      extension('2.5.29.14', false, derOctets(keyIdentifierOf(spkiDer))),
      ...authorityKeyIdentifier(issuer.subjectKeyIdentifier),
      ...(alternativeNames.length === 0 ? [] : [extension('2.5.29.17', false, derSequence(...alternativeNames))]),
    ],
  };
}

/** A certificate that a client signs with the very key it holds, as SCEP asks for before there is another. @see RFC 8894 §2.3 */
export function selfSignedCertificate(options: {
  readonly key: KeyObject;
  readonly subject: DistinguishedName;
  readonly days: number;
  readonly now?: Date;
}): Buffer {
  const { key, subject, days, now = new Date() } = options;
  const subjectDer = nameDer(subject);
  const publicKey = createPublicKey(key);
  return signedCertificate({
    issuerKey: key,
    issuerDer: subjectDer,
    subjectDer,
    spkiDer: spkiDerOf(publicKey),
    serialHex: randomSerialHex(),
    notBefore: validFrom(now),
    notAfter: new Date(now.getTime() + days * dayMs),
    extensions: [extension('2.5.29.15', true, keyUsageBits(publicKey))],
  });
}

interface CertificateParts {
  readonly issuerKey: KeyObject;
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  readonly spkiDer: Uint8Array;
  readonly serialHex: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Uint8Array[];
}

function signedCertificate(parts: CertificateParts): Buffer {
  const { tbs, signed } = toBeSigned(parts);
  return signed(signWith(parts.issuerKey, tbs).signature);
}

/** What is signed, and the whole certificate once it is. */
function toBeSigned(parts: CertificateParts): { tbs: Buffer; signed: (signature: Uint8Array) => Buffer } {
  const algorithm = signatureAlgorithmDer(parts.issuerKey);
  const tbs = derSequence(
    derElement(contextTag(0, true), derInteger(2)),
    derInteger(serialBytes(parts.serialHex)),
    algorithm,
    parts.issuerDer,
    derSequence(derTime(parts.notBefore), derTime(parts.notAfter)),
    parts.subjectDer,
    parts.spkiDer,
    derElement(contextTag(3, true), derSequence(...parts.extensions)),
  );
  return { tbs, signed: (signature) => derSequence(tbs, algorithm, derBits(signature)) };
}

function serialBytes(serialHex: string): Buffer {
  const digits = serialHex.replace(/^(00)+/, '');
  if (!/^([0-9a-fA-F]{2}){1,20}$/.test(digits))
    throw badOrder(`"${serialHex}" is not a serial number: use 1 to 20 bytes in hexadecimal.`);
  const bytes = Buffer.from(digits, 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), bytes]) : bytes;
}

function extension(oid: string, critical: boolean, valueDer: Uint8Array): Buffer {
  return derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctets(valueDer));
}

/** Method 1 of RFC 5280 §4.2.1.2: SHA-1 of the key's bit string, a name and no protection. */
function keyIdentifierOf(spkiDer: Uint8Array): Buffer {
  const [, bits] = childrenOf(readWhole(spkiDer));
  return createHash('sha1')
    .update(bitStringOf(expectTag(bits, derTag.bitString)))
    .digest();
}

function authorityKeyIdentifier(keyIdentifier: Uint8Array | undefined): Buffer[] {
  if (keyIdentifier === undefined) return [];
  return [extension('2.5.29.35', false, derSequence(derElement(contextTag(0, false), keyIdentifier)))];
}

/** digitalSignature, and keyEncipherment where the key can encrypt. */
function keyUsageBits(key: KeyObject): Buffer {
  return key.asymmetricKeyType === 'rsa' ? derBits(Uint8Array.of(0xa0), 5) : signatureOnly();
}

function signatureOnly(): Buffer {
  return derBits(Uint8Array.of(0x80), 7);
}

function extendedKeyUsage(usage: CertificateUsage): Buffer[] {
  if (usage === 'registration') return [];
  // emailProtection is what verifiers of CMS ask for by default.
  const purposes = {
    server: '1.3.6.1.5.5.7.3.1',
    client: '1.3.6.1.5.5.7.3.2',
    'profile-signer': '1.3.6.1.5.5.7.3.4',
    'route-signer': routeSignerPurpose,
  };
  const oids = usage === 'both' ? [purposes.server, purposes.client] : [purposes[usage]];
  return [extension('2.5.29.37', false, derSequence(...oids.map(derOid)))];
}

function dnsName(name: string): Buffer {
  if (!/^[A-Za-z0-9*._-]{1,253}$/.test(name)) throw badOrder(`"${name}" is not a DNS name.`);
  return derElement(contextTag(2, false), Buffer.from(name, 'latin1'));
}

function ipName(address: string): Buffer {
  const family = isIP(address);
  if (family === 4) return derElement(contextTag(7, false), Uint8Array.from(address.split('.').map(Number)));
  if (family !== 6 || address.includes('.') || address.includes('%'))
    throw badOrder(`"${address}" is not an IP address.`);
  const [left = '', right] = address.split('::');
  const groups = (text: string | undefined) => (text ? text.split(':') : []);
  const missing = 8 - groups(left).length - groups(right).length;
  const all = [...groups(left), ...Array<string>(right === undefined ? 0 : missing).fill('0'), ...groups(right)];
  return derElement(contextTag(7, false), Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex'));
}

function badOrder(message: string): BrambleError {
  return new BrambleError('ERR_CERTIFICATE_ORDER', `The certificate cannot be issued: ${message}`);
}
