/**
 * Reads BER and DER (ITU-T X.690) in place, without copying: an element is a set of offsets into the bytes it came from.
 * Invariant: no offset ever lies outside the bytes, and nesting is bounded, whatever the sender wrote.
 */
import { BrambleError } from '../../base/errors.ts';

/** Identifier octets of the elements that Bramble meets. Context tags are built with `contextTag`. */
export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of `[number]`, primitive or constructed. */
export function contextTag(number: number, constructed: boolean): number {
  return (constructed ? 0xa0 : 0x80) | number;
}

/** One element. `contentEnd` excludes the end-of-contents octets of an indefinite length, `end` includes them. */
export interface DerElement {
  readonly bytes: Uint8Array;
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly contentEnd: number;
  readonly end: number;
  readonly indefinite: boolean;
}

const maxDepth = 32;
const constructedBit = 0x20;

/** The error of every damaged encoding, for readers of structures too. */
export function derMalformed(why: string): BrambleError {
  return new BrambleError('ERR_DER_MALFORMED', `The DER encoding is damaged: ${why}.`);
}

/**
 * The element that starts at `offset`.
 * @throws BrambleError ERR_DER_MALFORMED
 * @see ITU-T X.690 §8.1
 */
export function readElement(bytes: Uint8Array, offset = 0, limit: number = bytes.length, depth = 0): DerElement {
  if (depth > maxDepth) throw derMalformed(`it is nested deeper than ${maxDepth} levels`);
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || offset + 2 > limit) throw derMalformed('an element is cut off');
  if ((tag & 0x1f) === 0x1f) throw derMalformed('a tag number is above 30');
  if (first < 0x80) return definite(bytes, tag, offset, offset + 2, first, limit);
  if (first > 0x80) {
    const lengthOctets = first & 0x7f;
    if (lengthOctets > 4 || offset + 2 + lengthOctets > limit) throw derMalformed('a length is impossible');
    let length = 0;
    for (let index = 0; index < lengthOctets; index++) length = length * 256 + (bytes[offset + 2 + index] ?? 0);
    return definite(bytes, tag, offset, offset + 2 + lengthOctets, length, limit);
  }
  if ((tag & constructedBit) === 0) throw derMalformed('a primitive element has an indefinite length');
  const contentStart = offset + 2;
  let cursor = contentStart;
  while (!(bytes[cursor] === 0 && bytes[cursor + 1] === 0 && cursor + 2 <= limit)) {
    cursor = readElement(bytes, cursor, limit, depth + 1).end;
  }
  return { bytes, tag, start: offset, contentStart, contentEnd: cursor, end: cursor + 2, indefinite: true };
}

function definite(bytes: Uint8Array, tag: number, start: number, contentStart: number, length: number, limit: number) {
  const end = contentStart + length;
  if (end > limit) throw derMalformed('an element is longer than what holds it');
  return { bytes, tag, start, contentStart, contentEnd: end, end, indefinite: false };
}

/** The only element in `bytes`: anything after it is refused. @throws BrambleError ERR_DER_MALFORMED */
export function readWhole(bytes: Uint8Array, tag: number = derTag.sequence): DerElement {
  const element = expectTag(readElement(bytes), tag);
  if (element.end !== bytes.length) throw derMalformed('something follows its end');
  return element;
}

/** The elements inside a constructed one, in order. @throws BrambleError ERR_DER_MALFORMED */
export function childrenOf(parent: DerElement): DerElement[] {
  if ((parent.tag & constructedBit) === 0) throw derMalformed('an element that should hold others is primitive');
  const children: DerElement[] = [];
  let cursor = parent.contentStart;
  while (cursor < parent.contentEnd) {
    const child = readElement(parent.bytes, cursor, parent.contentEnd);
    children.push(child);
    cursor = child.end;
  }
  return children;
}

/** `element`, which must be there and carry `tag`. @throws BrambleError ERR_DER_MALFORMED */
export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element === undefined) throw derMalformed('an element is missing');
  if (element.tag !== tag)
    throw derMalformed(`tag 0x${element.tag.toString(16)} stands where 0x${tag.toString(16)} should`);
  return element;
}

/** The element with its identifier and length, as it was sent. Shares memory with the source. */
export function rawOf(element: DerElement): Uint8Array {
  return element.bytes.subarray(element.start, element.end);
}

/** What the element holds, without identifier and length. Shares memory with the source. */
export function contentOf(element: DerElement): Uint8Array {
  return element.bytes.subarray(element.contentStart, element.contentEnd);
}

/** The octets of a string that BER may have cut into segments. @see ITU-T X.690 §8.7.3 */
export function octetsOf(element: DerElement): Uint8Array {
  return (element.tag & constructedBit) === 0 ? contentOf(element) : Buffer.concat(segmentsOf(element, 0));
}

function segmentsOf(element: DerElement, depth: number): Uint8Array[] {
  if (depth > maxDepth) throw derMalformed(`it is nested deeper than ${maxDepth} levels`);
  return childrenOf(element).flatMap((child) => {
    if (child.tag === derTag.octetString) return [contentOf(child)];
    return segmentsOf(expectTag(child, derTag.octetString | constructedBit), depth + 1);
  });
}

/** The octets of a bit string whose bits fill whole octets (signatures and keys do). */
export function bitStringOf(element: DerElement): Uint8Array {
  const content = contentOf(expectTag(element, derTag.bitString));
  if (content[0] !== 0) throw derMalformed('a bit string does not fill whole octets');
  return content.subarray(1);
}

/** An object identifier in dotted form. @throws BrambleError ERR_DER_MALFORMED */
export function oidOf(element: DerElement | undefined): string {
  const { bytes, contentStart, contentEnd } = expectTag(element, derTag.oid);
  if (contentStart === contentEnd || contentEnd - contentStart > 40)
    throw derMalformed('an object identifier has no sane length');
  let text = '';
  let arc = 0;
  for (let index = contentStart; index < contentEnd; index++) {
    const octet = bytes[index] ?? 0;
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw derMalformed('an object identifier is too large');
    if (octet < 0x80) {
      text = text === '' ? firstArcs(arc) : `${text}.${arc}`;
      arc = 0;
    } else if (index === contentEnd - 1) {
      throw derMalformed('an object identifier is cut off');
    }
  }
  return text;
}

function firstArcs(arc: number): string {
  const root = arc < 80 ? Math.floor(arc / 40) : 2;
  return `${root}.${arc - root * 40}`;
}

/** The text of a UTF8String, PrintableString, IA5String, T61String or BMPString. */
export function textOf(element: DerElement): string {
  const content = Buffer.from(octetsOf(element));
  if (element.tag !== 0x1e) return content.toString('utf8');
  if (content.length % 2 !== 0) throw derMalformed('a BMPString has an odd length');
  return content.swap16().toString('utf16le');
}

/** A UTCTime or GeneralizedTime in seconds and Z. @throws BrambleError ERR_DER_MALFORMED @see RFC 5280 §4.1.2.5 */
export function timeOf(element: DerElement | undefined): Date {
  if (element === undefined) throw derMalformed('a time is missing');
  const text = Buffer.from(contentOf(element)).toString('latin1');
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  const yearText = match?.[1];
  const wantedDigits = element.tag === derTag.utcTime ? 2 : element.tag === derTag.generalizedTime ? 4 : 0;
  if (!match || yearText?.length !== wantedDigits) throw derMalformed('a time is not written as RFC 5280 asks');
  const short = Number(yearText);
  const year = wantedDigits === 4 ? short : short < 50 ? 2000 + short : 1900 + short;
  const parts = match.slice(2).map(Number);
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}
