/**
 * The single entry point for property lists of either form. Invariant: whatever the bytes, it returns a value or a
 * BrambleError.
 */
import { isUtf8 } from 'node:buffer';
import { parseBinaryDocument } from './binary-document.ts';
import { parseFlatDocument } from './flat-document.ts';
import { defaultPlistLimits, type PlistLimits, type PlistValue, plistMalformed, plistTooLarge } from './value.ts';
import { parseXmlDocument } from './xml-document.ts';

/**
 * The value of an XML (UTF-8) or binary property list. Dictionaries come without a prototype.
 * @throws BrambleError ERR_PLIST_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE
 */
export function parsePlist(bytes: Uint8Array, limits: PlistLimits = defaultPlistLimits): PlistValue {
  if (bytes.length > limits.maxSizeBytes) throw plistTooLarge(limits);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer[0] === 0x62 && buffer.toString('latin1', 0, 8) === 'bplist00') return parseBinaryDocument(buffer, limits);
  if (limits.oddScalars === undefined && !isUtf8(buffer)) throw plistMalformed('it is neither binary nor UTF-8 text');
  const text = buffer.toString('utf8');
  return parseFlatDocument(text, limits) ?? parseXmlDocument(text, limits);
}
