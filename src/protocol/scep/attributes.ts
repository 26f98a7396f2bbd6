/** The attributes that make a CMS message a SCEP message. @see RFC 8894 §3.2.1 */
import { BrambleError } from '../../base/errors.ts';
import type { SignedAttributes } from '../cms/signed-data.ts';
import { contentOf, derTag, expectTag, textOf } from '../der/reader.ts';
import { derOctets, derPrintable } from '../der/writer.ts';

/**
 * Answer to `GetCACaps`. `SCEPStandard` alone would do; older clients look for each of the others, and strongSwan 5.9.8
 * assumes that AES and SHA-256 are missing if SHA-384 is not listed. @see RFC 8894 §3.5.2
 */
export const scepCapabilities = [
  'AES',
  'DES3',
  'POSTPKIOperation',
  'Renewal',
  'SCEPStandard',
  'SHA-1',
  'SHA-256',
  'SHA-384',
  'SHA-512',
].join('\n');

export const scepContentType = {
  message: 'application/x-pki-message',
  /** `GetCACert` with one certificate. */
  certificate: 'application/x-x509-ca-cert',
  /** `GetCACert` with several, in a degenerate SignedData (`bundleCertificates`). */
  certificates: 'application/x-x509-ca-ra-cert',
} as const;

const oid = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
} as const;

/** The numbers of message types. @see RFC 8894 §3.2.1.2 */
const scepMessageType = {
  CertRep: '3',
  RenewalReq: '17',
  PKCSReq: '19',
  CertPoll: '20',
  GetCert: '21',
  GetCRL: '22',
} as const;
type ScepMessageType = keyof typeof scepMessageType;

/** @see RFC 8894 §3.2.1.4 */
const scepFailInfo = {
  badAlg: '0',
  badMessageCheck: '1',
  badRequest: '2',
  badTime: '3',
  badCertId: '4',
} as const;
export type ScepFailInfo = keyof typeof scepFailInfo;

export interface ScepAttributes {
  readonly messageType: ScepMessageType;
  readonly transactionId: string;
  readonly senderNonce: Uint8Array;
  readonly recipientNonce: Uint8Array | undefined;
  readonly status: 'success' | 'failure' | 'pending' | undefined;
  readonly failInfo: ScepFailInfo | undefined;
}

const statusNumbers = { success: '0', failure: '2', pending: '3' } as const;

/** @throws BrambleError ERR_SCEP_MALFORMED, ERR_DER_MALFORMED */
export function readScepAttributes(attributes: SignedAttributes | undefined): ScepAttributes {
  const text = (name: keyof typeof oid): string | undefined => {
    const element = attributes?.values.get(oid[name]);
    return element === undefined ? undefined : textOf(element);
  };
  const octets = (name: keyof typeof oid): Uint8Array | undefined => {
    const element = attributes?.values.get(oid[name]);
    return element === undefined ? undefined : Uint8Array.from(contentOf(expectTag(element, derTag.octetString)));
  };
  const messageType = nameOf(scepMessageType, text('messageType'));
  const transactionId = text('transactionId');
  const senderNonce = octets('senderNonce');
  if (messageType === undefined || senderNonce === undefined || senderNonce.length > 64) {
    throw scepMalformed('message type or sender nonce is missing');
  }
  if (transactionId === undefined || transactionId === '' || transactionId.length > 255) {
    throw scepMalformed('the transaction identifier is missing or too long');
  }
  return {
    messageType,
    transactionId,
    senderNonce,
    recipientNonce: octets('recipientNonce'),
    status: nameOf(statusNumbers, text('pkiStatus')),
    failInfo: nameOf(scepFailInfo, text('failInfo')),
  };
}

/** Signed attributes ready for `signAttached`. */
export function scepAttributesDer(
  attributes: Pick<ScepAttributes, 'messageType' | 'transactionId' | 'senderNonce'> & Partial<ScepAttributes>,
): (readonly [oid: string, valueDer: Uint8Array])[] {
  const { messageType, transactionId, senderNonce, recipientNonce, status, failInfo } = attributes;
  const list: (readonly [string, Uint8Array])[] = [
    [oid.messageType, derPrintable(scepMessageType[messageType])],
    [oid.transactionId, derPrintable(transactionId)],
    [oid.senderNonce, derOctets(senderNonce)],
  ];
  if (recipientNonce !== undefined) list.push([oid.recipientNonce, derOctets(recipientNonce)]);
  if (status !== undefined) list.push([oid.pkiStatus, derPrintable(statusNumbers[status])]);
  if (failInfo !== undefined) list.push([oid.failInfo, derPrintable(scepFailInfo[failInfo])]);
  return list;
}

function nameOf<Name extends string>(
  table: Readonly<Record<Name, string>>,
  number: string | undefined,
): Name | undefined {
  for (const name in table) if (table[name] === number) return name;
  return undefined;
}

export function scepMalformed(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_SCEP_MALFORMED', `The SCEP message is damaged: ${why}.`, { cause });
}
