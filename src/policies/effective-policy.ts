/**
 * Which rules hold for an account: its own policy over those of its groups, in the order of their rank, over Default,
 * rule by rule. Pure. Invariant: the same layers give the same identity in every release, since it depends only on
 * names and values.
 */
import { createHash } from 'node:crypto';
import type { RuleValue, RuleValues } from './rules.ts';

/** One policy that applies to an account. */
export interface PolicyLayer {
  readonly source: 'user' | 'group' | 'default';
  /** Rank of the group, the lower number wins; null for other layers. */
  readonly rank: number | null;
  readonly policyName: string;
  readonly rules: RuleValues;
}

export interface EffectivePolicy {
  /** SHA-256 (16 hex digits) of the merged rules: equal for all accounts with the same outcome. */
  readonly identity: string;
  readonly rules: RuleValues;
  /** The policy that each rule comes from. */
  readonly origins: Readonly<Record<string, string>>;
}

const order = { user: 0, group: 1, default: 2 } as const;

/** Merges layers in any order. Two groups never share a rank (the database forbids it). */
export function mergePolicies(layers: readonly PolicyLayer[]): EffectivePolicy {
  const sorted = [...layers].sort((a, b) => order[a.source] - order[b.source] || (a.rank ?? 0) - (b.rank ?? 0));
  const merged = new Map<string, { value: RuleValue; origin: string }>();
  for (const layer of sorted) {
    for (const [name, value] of Object.entries(layer.rules)) {
      if (!merged.has(name)) merged.set(name, { value, origin: layer.policyName });
    }
  }
  const entries = [...merged].sort(([a], [b]) => (a < b ? -1 : 1));
  const rules = Object.fromEntries(entries.map(([name, { value }]) => [name, value]));
  return {
    identity: createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, 16),
    rules,
    origins: Object.fromEntries(entries.map(([name, { origin }]) => [name, origin])),
  };
}
