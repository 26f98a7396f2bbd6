/**
 * Opens and makes CMS EnvelopedData for one RSA recipient (PKCS #1 v1.5), as SCEP uses it.
 * Invariant: opening fails in one and the same way whatever was wrong with key or padding, so that nobody learns by
 * asking. (The RSA decryption itself answers a wrong padding with a random key.)
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
  derTag,
  expectTag,
  octetsOf,
  oidOf,
  rawOf,
  readWhole,
} from '../der/reader.ts';
import { derElement, derInteger, derNull, derOctets, derOid, derSequence, derSetOf } from '../der/writer.ts';
import { readCertificate } from '../x509/certificate-fields.ts';
import { cmsOid, contentInfo } from './signed-data.ts';
import { contentInfoDer } from './signing.ts';

export type ContentCipher = 'aes-128-cbc' | 'aes-256-cbc' | 'des-ede3-cbc';

const ciphers: Readonly<
  Record<ContentCipher, { readonly oid: string; readonly keyBytes: number; readonly ivBytes: number }>
> = {
  'aes-128-cbc': { oid: '2.16.840.1.101.3.4.1.2', keyBytes: 16, ivBytes: 16 },
  'aes-256-cbc': { oid: '2.16.840.1.101.3.4.1.42', keyBytes: 32, ivBytes: 16 },
  'des-ede3-cbc': { oid: '1.2.840.113549.3.7', keyBytes: 24, ivBytes: 8 },
};
const rsaEncryption = '1.2.840.113549.1.1.1';

function unreadable(cause?: unknown): BrambleError {
  return new BrambleError('ERR_ENVELOPE_UNREADABLE', 'The envelope cannot be opened with this key.', { cause });
}

/**
 * The content, and the cipher it came under. The recipient is the one that names the certificate.
 * @throws BrambleError ERR_DER_MALFORMED, ERR_ENVELOPE_UNREADABLE
 */
export function openEnvelope(
  der: Uint8Array,
  recipient: { readonly key: KeyObject; readonly certificateDer: Uint8Array },
): { readonly content: Buffer; readonly cipher: ContentCipher } {
  const fields = childrenOf(contentInfo(readWhole(der), cmsOid.envelopedData));
  const recipientSet = fields.find((field) => field.tag === derTag.set);
  const encryptedKey = keyFor(
    recipient.certificateDer,
    childrenOf(expectTag(recipientSet, derTag.set)).slice(0, 8).map(rawOf),
  );
  const encrypted = fields[fields.indexOf(expectTag(recipientSet, derTag.set)) + 1];
  const [, algorithm, content] = childrenOf(expectTag(encrypted, derTag.sequence));
  const [oid, iv] = childrenOf(expectTag(algorithm, derTag.sequence));
  const cipher = cipherOf(oidOf(oid));
  if (content?.tag !== contextTag(0, false) && content?.tag !== contextTag(0, true)) throw unreadable();
  try {
    const contentKey = privateDecrypt({ key: recipient.key, padding: constants.RSA_PKCS1_PADDING }, encryptedKey);
    const decipher = createDecipheriv(cipher, contentKey, contentOf(expectTag(iv, derTag.octetString)));
    return { content: Buffer.concat([decipher.update(octetsOf(content)), decipher.final()]), cipher };
  } catch (error) {
    throw unreadable(error);
  }
}

function cipherOf(oid: string): ContentCipher {
  for (const cipher of ['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const) {
    if (ciphers[cipher].oid === oid) return cipher;
  }
  throw unreadable();
}

function keyFor(certificateDer: Uint8Array, recipients: readonly Uint8Array[]): Uint8Array {
  const { issuerDer, serial, subjectKeyIdentifier } = readCertificate(certificateDer);
  for (const recipient of recipients) {
    if (recipient[0] !== derTag.sequence) continue;
    const [, identifier, algorithm, encryptedKey] = childrenOf(readWhole(recipient));
    if (identifier === undefined) continue;
    let named: boolean;
    if (identifier.tag === contextTag(0, false)) {
      named = subjectKeyIdentifier !== undefined && Buffer.compare(contentOf(identifier), subjectKeyIdentifier) === 0;
    } else {
      const [issuer, number] = childrenOf(expectTag(identifier, derTag.sequence));
      named =
        Buffer.compare(rawOf(expectTag(issuer, derTag.sequence)), issuerDer) === 0 &&
        Buffer.compare(contentOf(expectTag(number, derTag.integer)), serial) === 0;
    }
    if (!named) continue;
    if (oidOf(childrenOf(expectTag(algorithm, derTag.sequence))[0]) !== rsaEncryption) throw unreadable();
    return contentOf(expectTag(encryptedKey, derTag.octetString));
  }
  throw unreadable();
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
