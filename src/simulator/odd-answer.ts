/**
 * What real and imitated devices wrongly put into answers: everything but Status and CommandUUID may be of another
 * kind, out of range or far too long.
 */
import type { PlistDictionary } from '../protocol/plist/value.ts';
import type { SeededRandom } from './seeded-random.ts';

const longText = 'x'.repeat(17 * 1024);

const oddities: readonly PlistDictionary[] = [
  { ErrorChain: [{ ErrorCode: '12021', ErrorDomain: 'MCMDMErrorDomain', LocalizedDescription: 'as text' }] },
  { ErrorChain: [{ ErrorCode: 12.5, ErrorDomain: 7, USEnglishDescription: true }] },
  { ErrorChain: [{ ErrorCode: 2n ** 63n }] },
  { ErrorChain: { ErrorCode: 12021, LocalizedDescription: 'without its array' } },
  { ErrorChain: 'a text' },
  { ErrorChain: [{ ErrorCode: 1, LocalizedDescription: longText }] },
  { Noise: Array.from({ length: 8 }, () => longText) },
  { QueryResponses: ['no', 'dictionary'] },
  { UDID: 7 },
];

/** Fields that are added to an answer, over those of the same name. */
export function oddContent(random: SeededRandom): PlistDictionary {
  return random.pick(oddities);
}
