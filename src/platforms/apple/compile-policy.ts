/**
 * Compiles rules for one kind of device into one profile. Pure. Invariant: a rule that this release does not know, that
 * has an invalid value, or that the device does not support is left out and reported; it never prevents the others.
 */
import { rules as ownRules, type RuleTable, type RuleValue } from '../../policies/rules.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import type { PolicyFacts, SkippedPart } from '../order.ts';
import { type CompiledProfile, compileProfile } from './compiled-profile.ts';
import { meetsLeast, type ProfileReaders } from './device-family.ts';
import { rulePlaces as ownPlaces, type PolicyPayloadType, type RulePlaces } from './rule-payloads.ts';

/** Default: the rules of this release. */
interface RuleSet {
  readonly table: RuleTable;
  readonly places: RulePlaces;
}

const payloads: Readonly<Record<PolicyPayloadType, { readonly name: string; readonly displayName: string }>> = {
  'com.apple.mobiledevice.passwordpolicy': { name: 'password', displayName: 'Password' },
  'com.apple.applicationaccess': { name: 'restrictions', displayName: 'Restrictions' },
};

/** PayloadIdentifier of a domain's IT policy: the same in every release. */
function policyIdentifier(domainId: string): string {
  return `bramble.${domainId}.it-policy`;
}

/** Payloads without any key are left out. */
export function compilePolicy(
  input: PolicyFacts,
  readers: Pick<ProfileReaders, 'kindOf' | 'rules'>,
  { table, places }: RuleSet = { table: ownRules, places: ownPlaces },
): CompiledProfile {
  const kind = readers.kindOf(input.device);
  const skipped: SkippedPart[] = [];
  const contents = new Map<PolicyPayloadType, Map<string, RuleValue>>();
  for (const name of [...new Set([...Object.keys(table), ...Object.keys(input.rules)])].sort()) {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) {
      skipped.push({ name, reason: 'unknown', message: `release ${input.release} knows no rule "${name}"` });
      continue;
    }
    const given = Object.hasOwn(input.rules, name) ? input.rules[name] : undefined;
    const wanted = given ?? rule.default;
    if (wanted === undefined) continue;
    const checked = rule.value.safeParse(wanted);
    if (!checked.success) {
      skipped.push({ name, reason: 'invalid', message: `the value of the rule "${name}" is not allowed` });
      continue;
    }
    const place = Object.hasOwn(places, name) ? places[name] : undefined;
    if (place !== undefined && meetsLeast(readers.rules[name], kind)) {
      const content = contents.get(place.payload) ?? new Map<string, RuleValue>();
      contents.set(place.payload, content.set(place.key, checked.data));
    } else if (given !== undefined) {
      // No policy asked for a default that the device does not support, so nothing is missing.
      const message = `${kind.family} ${kind.version} does not know the rule "${name}"`;
      skipped.push({ name, reason: 'not-for-device', message });
    }
  }
  return compileProfile({
    identifier: policyIdentifier(input.domain.domainId),
    displayName: 'IT policy',
    description: `IT policy of ${input.domain.name}, compiled by Bramble ${input.release}`,
    organization: input.domain.name,
    release: input.release,
    payloads: (Object.keys(payloads) as PolicyPayloadType[]).flatMap((type) => {
      const content = contents.get(type);
      return content ? [{ type, ...payloads[type], content: sorted(content) }] : [];
    }),
    skipped,
  });
}

function sorted(content: ReadonlyMap<string, RuleValue>): PlistDictionary {
  return Object.fromEntries([...content].sort(([a], [b]) => (a < b ? -1 : 1)));
}
