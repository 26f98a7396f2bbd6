/** Loads the policies from which the rules of many accounts are merged, in one statement. */
import type { Queryable } from '../database/connection.ts';
import { type EffectivePolicy, mergePolicies, type PolicyLayer } from './effective-policy.ts';
import { defaultPolicyName } from './preconfigured-policies.ts';
import type { RuleValues } from './rules.ts';

interface LayerRow {
  accountId: string;
  source: PolicyLayer['source'];
  rank: number | null;
  policyName: string;
  rules: RuleValues;
}

/**
 * Account id -> its merged policy, for every id given (an account that does not exist gets Default).
 * By the primary keys of account_policy and group_policy and by group_member_account; takes no locks.
 */
export async function loadEffectivePolicies(
  q: Queryable,
  accountIds: readonly string[],
): Promise<Map<string, EffectivePolicy>> {
  const ids = [...new Set(accountIds)];
  if (ids.length === 0) return new Map();
  const rows = await q<LayerRow[]>`
    with wanted as materialized (select id from unnest(${ids}::uuid[]) as w(id))
    select w.id as "accountId", 'user' as source, null::integer as rank, p.name as "policyName", p.rules
      from wanted w join account_policy ap on ap.account_id = w.id join it_policy p on p.id = ap.policy_id
    union all
    select w.id, 'group', g.rank, p.name, p.rules
      from wanted w
      join group_member m on m.account_id = w.id
      join account_group g on g.id = m.group_id
      join group_policy gp on gp.group_id = g.id
      join it_policy p on p.id = gp.policy_id
    union all
    select w.id, 'default', null, p.name, p.rules
      from wanted w join it_policy p on p.name = ${defaultPolicyName}`;
  const layers = new Map<string, LayerRow[]>(ids.map((id) => [id, []]));
  for (const row of rows) layers.get(row.accountId)?.push(row);
  return new Map([...layers].map(([id, own]) => [id, mergePolicies(own)]));
}
