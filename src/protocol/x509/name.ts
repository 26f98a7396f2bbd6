/** Distinguished names of the few attributes that Bramble uses. @see RFC 5280 §4.1.2.4 */
import { childrenOf, derMalformed, derTag, expectTag, oidOf, readWhole, textOf } from '../der/reader.ts';
import { derOid, derSequence, derSetOf, derUtf8 } from '../der/writer.ts';

export interface DistinguishedName {
  readonly commonName?: string;
  readonly organizationalUnit?: string;
  readonly organization?: string;
}

const attributes = [
  ['2.5.4.10', 'organization'],
  ['2.5.4.11', 'organizationalUnit'],
  ['2.5.4.3', 'commonName'],
] as const;

export function nameDer(name: DistinguishedName): Buffer {
  const parts = attributes.flatMap(([oid, field]) => {
    const value = name[field];
    return value === undefined ? [] : [derSetOf(derSequence(derOid(oid), derUtf8(value)))];
  });
  return derSequence(...parts);
}

/** The string types used in names. */
const stringTags: ReadonlySet<number> = new Set([
  ...[derTag.utf8String, derTag.printableString, derTag.ia5String, derTag.bmpString],
  // T61String, of old certificates.
  0x14,
]);

/**
 * The known attributes of a name; the first of each kind. The whole name must be well formed.
 * @throws BrambleError ERR_DER_MALFORMED
 */
export function readName(der: Uint8Array): DistinguishedName {
  const found: { -readonly [Field in keyof DistinguishedName]: string } = {};
  for (const set of childrenOf(readWhole(der))) {
    const pairs = childrenOf(expectTag(set, derTag.set));
    if (pairs.length === 0) throw derMalformed('a part of a name is empty');
    for (const pair of pairs) {
      const [type, value, surplus] = childrenOf(expectTag(pair, derTag.sequence));
      const oid = oidOf(type);
      if (value === undefined || surplus !== undefined || !stringTags.has(value.tag)) {
        throw derMalformed('a part of a name is not a string');
      }
      const text = textOf(value);
      const field = attributes.find(([known]) => known === oid)?.[1];
      if (field !== undefined) found[field] ??= text;
    }
  }
  return found;
}
