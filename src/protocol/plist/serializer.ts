/** Writes XML property lists. Invariant: the same value is always written as the same bytes, and reads back as itself. */
import { isPlistDictionary, type PlistDictionary, type PlistValue, plistMalformed } from './value.ts';

const head =
  '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0">\n';
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const impossible = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/**
 * XML with keys in the given order; whole numbers as integers, others as reals; dates to the second.
 * @throws BrambleError ERR_PLIST_MALFORMED for what XML cannot hold: control characters, lone surrogates, integers of more
 * than 64 bits, invalid dates.
 */
export function serializePlist(value: PlistValue): string {
  const lines: string[] = [];
  write(value, '', lines);
  return `${head}${lines.join('\n')}\n</plist>\n`;
}

function write(value: PlistValue, indent: string, lines: string[]): void {
  if (typeof value === 'string') lines.push(`${indent}<string>${escaped(value)}</string>`);
  else if (typeof value === 'boolean') lines.push(`${indent}<${value}/>`);
  else if (typeof value === 'number') lines.push(`${indent}${number(value)}`);
  else if (typeof value === 'bigint') lines.push(`${indent}<integer>${checked(value)}</integer>`);
  else if (value instanceof Date) lines.push(`${indent}<date>${date(value)}</date>`);
  else if (value instanceof Uint8Array) {
    const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
    lines.push(`${indent}<data>${base64}</data>`);
  } else if (isPlistDictionary(value)) writeDictionary(value, indent, lines);
  else if (value.length === 0) lines.push(`${indent}<array/>`);
  else {
    lines.push(`${indent}<array>`);
    for (const item of value) write(item, `${indent}\t`, lines);
    lines.push(`${indent}</array>`);
  }
}

function writeDictionary(value: PlistDictionary, indent: string, lines: string[]): void {
  const entries = Object.entries(value);
  if (entries.length === 0) {
    lines.push(`${indent}<dict/>`);
    return;
  }
  lines.push(`${indent}<dict>`);
  for (const [key, item] of entries) {
    lines.push(`${indent}\t<key>${escaped(key)}</key>`);
    write(item, `${indent}\t`, lines);
  }
  lines.push(`${indent}</dict>`);
}

function number(value: number): string {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return `<integer>${value}</integer>`;
  if (Number.isNaN(value)) return '<real>nan</real>';
  if (!Number.isFinite(value)) return `<real>${value > 0 ? '+' : '-'}infinity</real>`;
  return `<real>${Object.is(value, -0) ? '-0' : value}</real>`;
}

function checked(value: bigint): bigint {
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw plistMalformed('an integer has more than 64 bits');
  return value;
}

function date(value: Date): string {
  const year = value.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw plistMalformed('a date lies outside the years 0 to 9999');
  return `${value.toISOString().slice(0, 19)}Z`;
}

function escaped(text: string): string {
  if (impossible.test(text) || !text.isWellFormed())
    throw plistMalformed('a string contains characters that XML cannot represent');
  if (!/[&<>\r]/.test(text)) return text;
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/\r/g, '&#13;');
}
