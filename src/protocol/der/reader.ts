/**
 * Reads DER, and BER where that is asked for (ITU-T X.690), in place, without copying: an element is a set of offsets
 * into the bytes it came from. Invariant: no offset ever lies outside the bytes; depth and number of elements are
 * bounded for a whole message, and each octet is read a bounded number of times, whatever the sender wrote.
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
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of `[number]`, primitive or constructed. */
export function contextTag(number: number, constructed: boolean): number {
  return (constructed ? 0xa0 : 0x80) | number;
}

/** BER allows indefinite and overlong lengths and strings in segments; DER has one form for each value. */
export type Encoding = 'der' | 'ber';

/** A message being read, and its remaining budget. */
interface DerSource {
  readonly bytes: Uint8Array;
  readonly encoding: Encoding;
  elementsLeft: number;
  /** Where elements of indefinite length end, by where they start: found once, however often they are visited. */
  readonly ends: Map<number, number>;
}

/** One element. `contentEnd` excludes the end-of-contents octets of an indefinite length, `end` includes them. */
export interface DerElement {
  readonly source: DerSource;
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly contentEnd: number;
  readonly end: number;
  readonly indefinite: boolean;
  readonly depth: number;
}

const maxDepth = 32;
/** Of one message. A SCEP request has some 150, a signature with a chain of certificates some 300. */
const maxElements = 4096;
const constructedBit = 0x20;

/** The error for every damaged encoding, also for parsers of structures. */
export function derMalformed(why: string): BrambleError {
  return new BrambleError('ERR_DER_MALFORMED', `The DER encoding is damaged: ${why}.`);
}

/** @see ITU-T X.690 §8.1, §10.1 */
function readElement(source: DerSource, offset: number, limit: number, depth: number): DerElement {
  const { bytes } = source;
  if (depth > maxDepth) throw derMalformed(`it is nested deeper than ${maxDepth} levels`);
  if (--source.elementsLeft < 0) throw derMalformed(`it contains more than ${maxElements} elements`);
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || offset + 2 > limit) throw derMalformed('an element is cut off');
  if (tag === 0) throw derMalformed('an end-of-contents marker is out of place');
  if ((tag & 0x1f) === 0x1f) throw derMalformed('a tag number is above 30');
  if (first === 0x80) return indefinite(source, offset, limit, depth);
  const lengthOctets = first < 0x80 ? 0 : first & 0x7f;
  const contentStart = offset + 2 + lengthOctets;
  if (lengthOctets > 4 || contentStart > limit) throw derMalformed('a length has an unsupported number of octets');
  let length = lengthOctets === 0 ? first : 0;
  for (let index = offset + 2; index < contentStart; index++) length = length * 256 + (bytes[index] ?? 0);
  if (source.encoding === 'der' && lengthOctets !== lengthOctetsOf(length)) {
    throw derMalformed('a length is not written in its shortest form');
  }
  const end = contentStart + length;
  if (end > limit) throw derMalformed('an element is longer than its container');
  return { source, tag, start: offset, contentStart, contentEnd: end, end, indefinite: false, depth };
}

function indefinite(source: DerSource, start: number, limit: number, depth: number): DerElement {
  const { bytes, encoding, ends } = source;
  const tag = bytes[start] ?? 0;
  if (encoding === 'der') throw derMalformed('a length is indefinite');
  if ((tag & constructedBit) === 0) throw derMalformed('a primitive element has an indefinite length');
  const contentStart = start + 2;
  let end = ends.get(start);
  if (end === undefined) {
    let cursor = contentStart;
    while (!(bytes[cursor] === 0 && bytes[cursor + 1] === 0 && cursor + 2 <= limit)) {
      cursor = readElement(source, cursor, limit, depth + 1).end;
    }
    end = cursor + 2;
    ends.set(start, end);
  }
  return { source, tag, start, contentStart, contentEnd: end - 2, end, indefinite: true, depth };
}

/** How many octets follow the first one of a length in its shortest form. */
export function lengthOctetsOf(length: number): number {
  if (length < 0x80) return 0;
  if (length < 0x100) return 1;
  if (length < 0x10000) return 2;
  return length < 0x1000000 ? 3 : 4;
}

/**
 * The only element in `bytes`: anything after it is refused. Everything below it is read under one budget.
 * @throws BrambleError ERR_DER_MALFORMED
 */
export function readWhole(bytes: Uint8Array, tag: number = derTag.sequence, encoding: Encoding = 'der'): DerElement {
  const source = { bytes, encoding, elementsLeft: maxElements, ends: new Map<number, number>() };
  const element = expectTag(readElement(source, 0, bytes.length, 0), tag);
  if (element.end !== bytes.length) throw derMalformed('there is trailing data');
  return element;
}

/** The elements inside a constructed one, in order. @throws BrambleError ERR_DER_MALFORMED */
export function childrenOf(parent: DerElement): DerElement[] {
  if ((parent.tag & constructedBit) === 0) throw derMalformed('an element that should be constructed is primitive');
  const children: DerElement[] = [];
  let cursor = parent.contentStart;
  while (cursor < parent.contentEnd) {
    const child = readElement(parent.source, cursor, parent.contentEnd, parent.depth + 1);
    children.push(child);
    cursor = child.end;
  }
  return children;
}

/** `element`, which must be there and carry `tag`. @throws BrambleError ERR_DER_MALFORMED */
export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element === undefined) throw derMalformed('an element is missing');
  if (element.tag !== tag)
    throw derMalformed(`tag 0x${element.tag.toString(16)} was found where 0x${tag.toString(16)} is expected`);
  return element;
}

/** The element with its identifier and length, as sent. Shares memory with the source. */
export function rawOf(element: DerElement): Uint8Array {
  return element.source.bytes.subarray(element.start, element.end);
}

/** What the element holds, without identifier and length. Shares memory with the source. */
export function contentOf(element: DerElement): Uint8Array {
  return element.source.bytes.subarray(element.contentStart, element.contentEnd);
}

/** The octets of a string that BER may have split into segments. @see ITU-T X.690 §8.7.3 */
export function octetsOf(element: DerElement): Uint8Array {
  return (element.tag & constructedBit) === 0 ? contentOf(element) : Buffer.concat(segmentsOf(element));
}

function segmentsOf(element: DerElement): Uint8Array[] {
  if (element.source.encoding === 'der') throw derMalformed('a string is in segments');
  return childrenOf(element).flatMap((child) => {
    if (child.tag === derTag.octetString) return [contentOf(child)];
    return segmentsOf(expectTag(child, derTag.octetString | constructedBit));
  });
}

/** The octets of a bit string whose bits fill whole octets (signatures and keys do). */
export function bitStringOf(element: DerElement): Uint8Array {
  const content = contentOf(expectTag(element, derTag.bitString));
  if (content[0] !== 0) throw derMalformed('a bit string does not fill whole octets');
  return content.subarray(1);
}

/** The octets of named bits. @throws BrambleError ERR_DER_MALFORMED */
export function bytesOfBits(element: DerElement): Uint8Array {
  unusedBitsOf(element);
  return contentOf(element).subarray(1);
}

/** How many bits at the end do not count; DER has them cleared. */
function unusedBitsOf(element: DerElement): number {
  const content = contentOf(expectTag(element, derTag.bitString));
  const unused = content[0] ?? 8;
  const last = content.length > 1 ? (content.at(-1) ?? 0) : 0;
  if (unused > 7 || (content.length === 1 && unused > 0) || (last & ((1 << unused) - 1)) !== 0) {
    throw derMalformed('a bit string has unused bits that are set');
  }
  return unused;
}

/** The content octets of an integer: two's complement, as short as can be. @throws BrambleError ERR_DER_MALFORMED */
export function integerOf(element: DerElement | undefined): Uint8Array {
  const content = contentOf(expectTag(element, derTag.integer));
  const [first, second = 0] = content;
  if (first === undefined) throw derMalformed('an integer is empty');
  if (content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
    throw derMalformed('an integer is not written in its shortest form');
  }
  return content;
}

/** An object identifier in dotted form. @throws BrambleError ERR_DER_MALFORMED */
export function oidOf(element: DerElement | undefined): string {
  const content = contentOf(expectTag(element, derTag.oid));
  if (content.length === 0 || content.length > 40) throw derMalformed('an object identifier is empty or too long');
  let text = '';
  let arc = 0;
  let fresh = true;
  for (const octet of content) {
    if (fresh && octet === 0x80) throw derMalformed('an object identifier is not written in its shortest form');
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw derMalformed('an object identifier is too large');
    fresh = octet < 0x80;
    if (!fresh) continue;
    text = text === '' ? firstArcs(arc) : `${text}.${arc}`;
    arc = 0;
  }
  if (!fresh) throw derMalformed('an object identifier is cut off');
  return text;
}

function firstArcs(arc: number): string {
  const root = arc < 80 ? Math.floor(arc / 40) : 2;
  return `${root}.${arc - root * 40}`;
}

/** Of the universal kinds that certificates are made of; only sequences and sets are made of others. */
const universalTags: ReadonlySet<number> = new Set([
  ...Object.values(derTag),
  // ENUMERATED; NumericString, T61String, VisibleString and UniversalString.
  ...[0x0a, 0x12, 0x14, 0x1a, 0x1c],
]);

/**
 * Checks every element of an encoding that must be DER throughout, even unused ones: what another parser would reject
 * is rejected here too. @throws BrambleError ERR_DER_MALFORMED
 */
export function checkWhole(element: DerElement): void {
  const { tag } = element;
  if (tag < 0x40 && !universalTags.has(tag)) throw derMalformed('a string is of an unknown type, or in segments');
  if ((tag & constructedBit) !== 0) childrenOf(element).forEach(checkWhole);
  else if (tag === derTag.integer) integerOf(element);
  else if (tag === derTag.oid) oidOf(element);
  else if (tag === derTag.bitString) unusedBitsOf(element);
  else if (tag === derTag.boolean && element.contentEnd - element.contentStart !== 1)
    throw derMalformed('a boolean is malformed');
  else if (tag === derTag.null && element.contentStart !== element.contentEnd)
    throw derMalformed('a NULL has contents');
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a UTF8String, BMPString, or of one of the strings of single octets. @throws BrambleError ERR_DER_MALFORMED */
export function textOf(element: DerElement): string {
  const content = Buffer.from(octetsOf(element));
  if (element.tag === derTag.utf8String) {
    try {
      return strictUtf8.decode(content);
    } catch {
      throw derMalformed('a UTF8String is not UTF-8');
    }
  }
  if (element.tag !== derTag.bmpString) return content.toString('latin1');
  if (content.length % 2 !== 0) throw derMalformed('a BMPString has an odd length');
  const text = content.swap16().toString('utf16le');
  if (!text.isWellFormed()) throw derMalformed('a BMPString is not Unicode');
  return text;
}

/** A UTCTime or GeneralizedTime in seconds and Z. @throws BrambleError ERR_DER_MALFORMED @see RFC 5280 §4.1.2.5 */
export function timeOf(element: DerElement | undefined): Date {
  if (element === undefined) throw derMalformed('a time is missing');
  const text = Buffer.from(contentOf(element)).toString('latin1');
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  const yearText = match?.[1];
  const wantedDigits = element.tag === derTag.utcTime ? 2 : element.tag === derTag.generalizedTime ? 4 : 0;
  if (!match || yearText?.length !== wantedDigits)
    throw derMalformed('a time is not in the form that RFC 5280 requires');
  const short = Number(yearText);
  const year = wantedDigits === 4 ? short : short < 50 ? 2000 + short : 1900 + short;
  const [month = '', day = '', hour = '', minute = '', second = ''] = match.slice(2);
  const written = `${String(year).padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(written);
  // A date that does not exist is either invalid or becomes another day.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== written) throw derMalformed('a time does not exist');
  return time;
}
