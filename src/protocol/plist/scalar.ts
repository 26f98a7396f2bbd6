/**
 * The text of integers, reals, dates and data in XML property lists. Every pattern has bounded repetition.
 */
import { plistMalformed } from './value.ts';

const smallestInteger = -(2n ** 63n);
const maxInteger = 2n ** 64n - 1n;

/** Decimal, or hexadecimal after `0x`, from -2^63 to 2^64-1. @throws BrambleError ERR_PLIST_MALFORMED */
export function integerOf(text: string): number | bigint {
  const trimmed = text.trim();
  const match = /^([+-]?)(0[xX][0-9a-fA-F]{1,16}|\d{1,20})$/.exec(trimmed);
  if (!match?.[2]) throw plistMalformed('an integer is malformed');
  const magnitude = BigInt(match[2]);
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (value < smallestInteger || value > maxInteger) throw plistMalformed('an integer has more than 64 bits');
  return narrowed(value);
}

/** A number where it is exact, else the bigint itself. */
export function narrowed(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** @throws BrambleError ERR_PLIST_MALFORMED */
export function realOf(text: string): number {
  const trimmed = text.trim();
  if (/^[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?$/.test(trimmed)) return Number(trimmed);
  const special = /^([+-]?)(?:(nan)|inf(?:inity)?)$/i.exec(trimmed);
  if (!special) throw plistMalformed('a real is not a number');
  if (special[2] !== undefined) return Number.NaN;
  return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** `2026-01-31T23:59:59Z`. @throws BrambleError ERR_PLIST_MALFORMED */
export function dateOf(text: string): Date {
  const trimmed = text.trim();
  const date = new Date(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(trimmed) ? trimmed : Number.NaN);
  // A date that does not exist would be read as a later one.
  if (Number.isNaN(date.getTime()) || `${date.toISOString().slice(0, 19)}Z` !== trimmed) {
    throw plistMalformed('a date is not of the form 2026-01-31T23:59:59Z');
  }
  return date;
}

/** Base64 with white space anywhere. @throws BrambleError ERR_PLIST_MALFORMED */
export function dataOf(text: string): Buffer {
  const compact = text.replace(/[ \t\r\n]+/g, '');
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) throw plistMalformed('data is not base64');
  return Buffer.from(compact, 'base64');
}
