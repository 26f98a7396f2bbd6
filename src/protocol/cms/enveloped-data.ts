/**
 * Opens and makes CMS EnvelopedData for one RSA recipient (PKCS #1 v1.5), as SCEP uses it. Invariant: opening fails in
 * the same way whatever was wrong with key or padding, so that it is no oracle. (On wrong padding, the RSA decryption
 * itself returns a random key.)
 * @see RFC 5652 §6
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import {
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  derMalformed,
  derTag,
  expectTag,
  integerOf,
  octetsOf,
  oidOf,
  rawOf,
  readWhole,
} from '../der/reader.ts';
import { derElement, derInteger, derNull, derOctets, derOid, derSequence, derSetOf } from '../der/writer.ts';
import { readCertificate } from '../x509/certificate-fields.ts';
import { cmsOid, contentInfo } from './signed-data.ts';
import { contentInfoDer } from './signing.ts';

const contentCiphers = ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const;
export type ContentCipher = (typeof contentCiphers)[number];

const ciphers: Readonly<
  Record<ContentCipher, { readonly oid: string; readonly keyBytes: number; readonly ivBytes: number }>
> = {
  'aes-128-cbc': { oid: '2.16.840.1.101.3.4.1.2', keyBytes: 16, ivBytes: 16 },
  'aes-192-cbc': { oid: '2.16.840.1.101.3.4.1.22', keyBytes: 24, ivBytes: 16 },
  'aes-256-cbc': { oid: '2.16.840.1.101.3.4.1.42', keyBytes: 32, ivBytes: 16 },
  'des-ede3-cbc': { oid: '1.2.840.113549.3.7', keyBytes: 24, ivBytes: 8 },
};
const rsaEncryption = '1.2.840.113549.1.1.1';
/** Names for the log: ciphers that old clients still use. */
const refusedCiphers: ReadonlyMap<string, string> = new Map([
  ['1.3.14.3.2.7', 'DES-CBC'],
  ['1.2.840.113549.3.2', 'RC2-CBC'],
  ['1.2.840.113549.3.4', 'RC4'],
]);
const maxRecipients = 8;

function unreadable(cause?: unknown): BrambleError {
  return new BrambleError('ERR_ENVELOPE_UNREADABLE', 'The envelope cannot be opened with this key.', { cause });
}

interface Recipient {
  readonly key: KeyObject;
  readonly certificateDer: Uint8Array;
}

/**
 * Of an envelope in BER, as Apple's devices write it: the content, its cipher, and the recipient that could open it:
 * the first of `recipients` that the envelope names.
 * @throws BrambleError ERR_DER_MALFORMED, ERR_ENVELOPE_UNREADABLE, ERR_ALGORITHM_UNSUPPORTED
 */
export function openEnvelope<Known extends Recipient>(
  der: Uint8Array,
  recipients: readonly Known[],
): { readonly content: Buffer; readonly cipher: ContentCipher; readonly recipient: Known } {
  const fields = childrenOf(contentInfo(readWhole(der, derTag.sequence, 'ber'), cmsOid.envelopedData));
  integerOf(fields.shift());
  // Originator info is only for key agreement.
  if (fields[0]?.tag === contextTag(0, true)) fields.shift();
  const [recipientSet, encrypted] = fields;
  const infos = childrenOf(expectTag(recipientSet, derTag.set));
  if (infos.length > maxRecipients) throw derMalformed(`it has more than ${maxRecipients} recipients`);
  const { recipient, encryptedKey } = recipientIn(recipients, infos);
  const [, algorithm, content] = childrenOf(expectTag(encrypted, derTag.sequence));
  const [oid, iv] = childrenOf(expectTag(algorithm, derTag.sequence));
  const cipher = cipherOf(oidOf(oid));
  if (content?.tag !== contextTag(0, false) && content?.tag !== contextTag(0, true)) throw unreadable();
  try {
    const contentKey = privateDecrypt({ key: recipient.key, padding: constants.RSA_PKCS1_PADDING }, encryptedKey);
    const decipher = createDecipheriv(cipher, contentKey, contentOf(expectTag(iv, derTag.octetString)));
    return { content: Buffer.concat([decipher.update(octetsOf(content)), decipher.final()]), cipher, recipient };
  } catch (error) {
    throw unreadable(error);
  }
}

function cipherOf(oid: string): ContentCipher {
  for (const cipher of contentCiphers) {
    if (ciphers[cipher].oid === oid) return cipher;
  }
  const name = refusedCiphers.get(oid);
  throw new BrambleError(
    'ERR_ALGORITHM_UNSUPPORTED',
    `The envelope is encrypted with ${name === undefined ? oid : `${name} (${oid})`}, which is not supported: use AES.`,
    { details: { algorithm: oid } },
  );
}

/** The part of a RecipientInfo that identifies the recipient. */
interface SentKey {
  readonly named: (issuerDer: Uint8Array, serial: Uint8Array, keyIdentifier: Uint8Array | undefined) => boolean;
  readonly algorithm: DerElement | undefined;
  readonly encryptedKey: DerElement | undefined;
}

function recipientIn<Known extends Recipient>(recipients: readonly Known[], infos: readonly DerElement[]) {
  // Only key transport, not key agreement: other kinds carry other tags.
  const sent = infos.filter((info) => info.tag === derTag.sequence).map(readSentKey);
  for (const recipient of recipients) {
    const { issuerDer, serial, subjectKeyIdentifier } = readCertificate(recipient.certificateDer);
    const own = sent.find(({ named }) => named(issuerDer, serial, subjectKeyIdentifier));
    if (own === undefined) continue;
    const algorithm = oidOf(childrenOf(expectTag(own.algorithm, derTag.sequence))[0]);
    if (algorithm !== rsaEncryption) {
      throw new BrambleError(
        'ERR_ALGORITHM_UNSUPPORTED',
        `The key of the envelope is encrypted with ${algorithm}, which is not supported: use RSA with PKCS #1 v1.5.`,
        { details: { algorithm } },
      );
    }
    return { recipient, encryptedKey: contentOf(expectTag(own.encryptedKey, derTag.octetString)) };
  }
  throw unreadable();
}

function readSentKey(info: DerElement): SentKey {
  const [, identifier, algorithm, encryptedKey] = childrenOf(info);
  if (identifier?.tag === contextTag(0, false)) {
    const sent = contentOf(identifier);
    const named: SentKey['named'] = (_issuer, _serial, own) => own !== undefined && Buffer.compare(sent, own) === 0;
    return { named, algorithm, encryptedKey };
  }
  const [issuer, number] = childrenOf(expectTag(identifier, derTag.sequence));
  const sentIssuer = rawOf(expectTag(issuer, derTag.sequence));
  const sentSerial = integerOf(number);
  return {
    named: (issuerDer, serial) =>
      Buffer.compare(sentIssuer, issuerDer) === 0 && Buffer.compare(sentSerial, serial) === 0,
    algorithm,
    encryptedKey,
  };
}

/** DER of a ContentInfo that only the certificate's RSA key opens. @throws BrambleError ERR_ENVELOPE_UNREADABLE for other keys */
export function sealEnvelope(content: Uint8Array, recipientCertificateDer: Uint8Array, cipher: ContentCipher): Buffer {
  const { oid, keyBytes, ivBytes } = ciphers[cipher];
  const { issuerDer, serial, publicKeySpkiDer } = readCertificate(recipientCertificateDer);
  const key = createPublicKey({ key: Buffer.from(publicKeySpkiDer), format: 'der', type: 'spki' });
  if (key.asymmetricKeyType !== 'rsa') {
    throw new BrambleError(
      'ERR_ENVELOPE_UNREADABLE',
      'Nothing can be encrypted to this certificate: its key is not RSA.',
    );
  }
  const contentKey = randomBytes(keyBytes);
  const iv = randomBytes(ivBytes);
  const encrypt = createCipheriv(cipher, contentKey, iv);
  const encryptedContent = Buffer.concat([encrypt.update(content), encrypt.final()]);
  const recipient = derSequence(
    derInteger(0),
    derSequence(issuerDer, derInteger(serial)),
    derSequence(derOid(rsaEncryption), derNull()),
    derOctets(publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, contentKey)),
  );
  return contentInfoDer(
    cmsOid.envelopedData,
    derSequence(
      derInteger(0),
      derSetOf(recipient),
      derSequence(
        derOid(cmsOid.data),
        derSequence(derOid(oid), derOctets(iv)),
        derElement(contextTag(0, false), encryptedContent),
      ),
    ),
  );
}
