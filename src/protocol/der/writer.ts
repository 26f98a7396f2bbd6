/** Writes DER (ITU-T X.690 §10): definite shortest lengths, sorted sets. The reader and OpenSSL can read its output. */
import { childrenOf, contentOf, type DerElement, derTag, lengthOctetsOf, octetsOf } from './reader.ts';

/** An element with the given identifier octet around the joined contents. */
export function derElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const content of contents) length += content.length;
  return Buffer.concat([header(tag, length), ...contents]);
}

function header(tag: number, length: number): Buffer {
  const octets = lengthOctetsOf(length);
  const bytes = Buffer.alloc(2 + octets);
  bytes[0] = tag;
  bytes[1] = octets === 0 ? length : 0x80 | octets;
  if (octets > 0) bytes.writeUIntBE(length, 2, octets);
  return bytes;
}

export function derSequence(...items: readonly Uint8Array[]): Buffer {
  return derElement(derTag.sequence, ...items);
}

/** A SET OF: its elements are put in the order that DER asks for. @see ITU-T X.690 §11.6 */
export function derSetOf(...items: readonly Uint8Array[]): Buffer {
  return derElement(derTag.set, ...[...items].sort(Buffer.compare));
}

/** An integer from its two's complement or, for a number, from a non-negative value below 2^31. */
export function derInteger(value: number | Uint8Array): Buffer {
  if (typeof value !== 'number') return derElement(derTag.integer, value);
  const octets: number[] = [];
  let rest = value;
  do {
    octets.unshift(rest & 0xff);
    rest >>>= 8;
  } while (rest > 0);
  if ((octets[0] ?? 0) >= 0x80) octets.unshift(0);
  return derElement(derTag.integer, Uint8Array.from(octets));
}

export function derOid(dotted: string): Buffer {
  const [root = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [root * 40 + second, ...arcs]) {
    const digits = [arc % 128];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) | 0x80);
    octets.push(...digits);
  }
  return derElement(derTag.oid, Uint8Array.from(octets));
}

export function derOctets(bytes: Uint8Array): Buffer {
  return derElement(derTag.octetString, bytes);
}

/** A bit string of whole octets, or with the given number of unused bits at its end. */
export function derBits(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derElement(derTag.bitString, Uint8Array.of(unusedBits), bytes);
}

export function derNull(): Buffer {
  return derElement(derTag.null);
}

export function derBoolean(value: boolean): Buffer {
  return derElement(derTag.boolean, Uint8Array.of(value ? 0xff : 0));
}

export function derUtf8(text: string): Buffer {
  return derElement(derTag.utf8String, Buffer.from(text, 'utf8'));
}

export function derPrintable(text: string): Buffer {
  return derElement(derTag.printableString, Buffer.from(text, 'latin1'));
}

/** UTCTime up to 2049, GeneralizedTime from 2050. @see RFC 5280 §4.1.2.5 */
export function derTime(time: Date): Buffer {
  const digits = time.toISOString().replace(/[-:T]|\.\d{3}/g, '');
  return time.getUTCFullYear() < 2050
    ? derElement(derTag.utcTime, Buffer.from(digits.slice(2), 'latin1'))
    : derElement(derTag.generalizedTime, Buffer.from(digits, 'latin1'));
}

const constructedOctets = derTag.octetString | 0x20;

/** Whether an element that was read as BER is written as DER would have it, but for the order of sets. */
export function isDer(element: DerElement): boolean {
  const { tag, start, contentStart, contentEnd, indefinite } = element;
  if (indefinite || contentStart - start !== 2 + lengthOctetsOf(contentEnd - contentStart)) return false;
  return (tag & 0x20) === 0 || (tag !== constructedOctets && childrenOf(element).every(isDer));
}

/**
 * An element read as BER, written again as DER: lengths definite, cut strings joined, sets sorted.
 * Needed where a signature covers the DER encoding of what was sent as BER. @see RFC 5652 §5.4
 */
export function derFrom(element: DerElement, tag: number = element.tag): Buffer {
  if (element.tag === constructedOctets) return derOctets(octetsOf(element));
  if ((element.tag & 0x20) === 0) return derElement(tag, contentOf(element));
  const children = childrenOf(element).map((child) => derFrom(child));
  return tag === derTag.set ? derSetOf(...children) : derElement(tag, ...children);
}
