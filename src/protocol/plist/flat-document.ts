/**
 * A fast path for nearly every request of a device: one dictionary of plain texts, written as Apple's own serializer
 * writes it (the Idle body). Everything else, however slightly different, is left to the full reader. Invariant: the
 * result is exactly what {@link parseXmlDocument} reads of the same text.
 */
import { newDictionary, type PlistDictionary, type PlistLimits } from './value.ts';

const maxLength = 2048;

// White space of XML only; texts of printable ASCII without the characters that mean something in XML.
const head =
  /^<\?xml version="1\.0" encoding="UTF-8"\?>[ \t\r\n]*<!DOCTYPE plist PUBLIC "-\/\/Apple\/\/DTD PLIST 1\.0\/\/EN" "https?:\/\/www\.apple\.com\/DTDs\/PropertyList-1\.0\.dtd">[ \t\r\n]*<plist version="1\.0">[ \t\r\n]*<dict>[ \t\r\n]*/;
const pair = /<key>([A-Za-z]+)<\/key>[ \t\r\n]*<string>([ -%'-;=?-~]*)<\/string>[ \t\r\n]*/y;
const tail = /<\/dict>[ \t\r\n]*<\/plist>[ \t\r\n]*$/y;

/** `undefined` when the full reader is needed; never throws. */
export function parseFlatDocument(text: string, limits: PlistLimits): PlistDictionary | undefined {
  if (text.length > maxLength || limits.maxDepth < 1) return undefined;
  let position = head.exec(text)?.[0].length ?? 0;
  if (position === 0) return undefined;
  const dictionary = newDictionary();
  for (let values = 2; ; values++) {
    pair.lastIndex = position;
    const [whole, key, value] = pair.exec(text) ?? [];
    if (whole === undefined || key === undefined || value === undefined) break;
    if (key in dictionary || values > limits.maxValues) return undefined;
    dictionary[key] = value;
    position += whole.length;
  }
  tail.lastIndex = position;
  return tail.test(text) ? dictionary : undefined;
}
