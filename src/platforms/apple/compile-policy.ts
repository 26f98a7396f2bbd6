/**
 * Compiles rules for one kind of device into one profile. Pure.
 * Invariant: a rule that this release does not know, or whose value or device does not fit, is left out and reported; it never
 * keeps the others from the device.
 */

import { type DeviceDescription, familyOf, meetsLeast } from '../../policies/device-family.ts';
import {
  rules as ownRules,
  type PolicyPayloadType,
  type RuleTable,
  type RuleValue,
  type RuleValues,
} from '../../policies/rules.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import { type CompiledProfile, compileProfile, type SkippedPart } from './compiled-profile.ts';

export interface DomainFacts {
  readonly domainId: string;
  readonly name: string;
}

export interface PolicyInput {
  readonly domain: DomainFacts;
  /** Merged rules of the account. */
  readonly rules: RuleValues;
  readonly device: DeviceDescription;
  /** The release that compiles. */
  readonly release: string;
  /** Default: the rules of this release. */
  readonly table?: RuleTable;
}

const payloads: Readonly<Record<PolicyPayloadType, { readonly name: string; readonly displayName: string }>> = {
  'com.apple.mobiledevice.passwordpolicy': { name: 'password', displayName: 'Password' },
  'com.apple.applicationaccess': { name: 'restrictions', displayName: 'Restrictions' },
};

/** PayloadIdentifier of a domain's IT policy: the same in every release. */
export function policyIdentifier(domainId: string): string {
  return `bramble.${domainId}.it-policy`;
}

/** Agent devices read the same format. Payloads without any key are left out. */
export function compilePolicy(input: PolicyInput): CompiledProfile {
  const table = input.table ?? ownRules;
  const { family, version } = familyOf(input.device);
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
    } else if (!meetsLeast(rule.least, family, version)) {
      // A default that a device cannot take is nobody's wish, so nobody misses it.
      if (given !== undefined) {
        skipped.push({
          name,
          reason: 'not-for-device',
          message: `${family} ${version} does not know the rule "${name}"`,
        });
      }
    } else {
      const content = contents.get(rule.payload) ?? new Map<string, RuleValue>();
      contents.set(rule.payload, content.set(rule.key, checked.data));
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
