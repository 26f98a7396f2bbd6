/** Distinguished names of the few attributes that Bramble uses. @see RFC 5280 §4.1.2.4 */
import { childrenOf, derTag, expectTag, oidOf, readWhole, textOf } from '../der/reader.ts';
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

/** The known attributes of a name; of several of a kind the first. @throws BrambleError ERR_DER_MALFORMED */
export function readName(der: Uint8Array): DistinguishedName {
  const found: { -readonly [Field in keyof DistinguishedName]: string } = {};
  for (const set of childrenOf(readWhole(der))) {
    for (const pair of childrenOf(expectTag(set, derTag.set))) {
      const [type, value] = childrenOf(pair);
      const oid = oidOf(type);
      const field = attributes.find(([known]) => known === oid)?.[1];
      if (field !== undefined && value !== undefined) found[field] ??= textOf(value);
    }
  }
  return found;
}
