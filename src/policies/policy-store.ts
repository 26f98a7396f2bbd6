/**
 * IT policies and their assignments. All writes belong to the domain: the caller runs them in an administration
 * transaction, and queues the deliveries in the same one (`oweDeliveries` for `accountsUnderPolicy`). Invariant: stored
 * rules were checked by `parseRules`; Default always exists.
 */
import { BrambleError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { sqlState } from '../database/sql-state.ts';
import { defaultPolicyName } from './preconfigured-policies.ts';
import { parseRules, type RuleValues } from './rules.ts';

interface ItPolicy {
  readonly id: string;
  readonly name: string;
  readonly preconfigured: boolean;
  readonly rules: RuleValues;
  readonly changedAt: Date;
  readonly revision: number;
}

/** By name. Reads the whole table: a domain has dozens. */
export async function listPolicies(q: Queryable): Promise<ItPolicy[]> {
  return await q<ItPolicy[]>`
    select id, name, preconfigured, rules, changed_at as "changedAt", revision::float8 as revision from it_policy order by name`;
}

/** By it_policy_name_key. */
export async function findPolicy(q: Queryable, name: string): Promise<ItPolicy | undefined> {
  const [policy] = await q<ItPolicy[]>`
    select id, name, preconfigured, rules, changed_at as "changedAt", revision::float8 as revision from it_policy where name = ${name}`;
  return policy;
}

/** @throws BrambleError ERR_POLICY_RULE_UNKNOWN, ERR_POLICY_RULE_VALUE, ERR_POLICY_EXISTS. */
export async function insertPolicy(q: Queryable, name: string, rules: unknown): Promise<ItPolicy> {
  const checked = parseRules(rules);
  try {
    const [policy] = await q<ItPolicy[]>`
      insert into it_policy (id, name, rules) values (${newId<string>()}, ${name}, ${q.json(checked)})
      returning id, name, preconfigured, rules, changed_at as "changedAt", revision::float8 as revision`;
    if (policy) return policy;
    throw new BrambleError('ERR_POLICY_NOT_STORED', `The IT policy "${name}" was not stored.`);
  } catch (cause) {
    if (sqlState(cause) !== '23505') throw cause;
    throw new BrambleError(
      'ERR_POLICY_EXISTS',
      `There is an IT policy "${name}" already: change it, or choose a new name.`,
      {
        cause,
      },
    );
  }
}

/** Replaces the rules; `not-found` when there is no such policy. @throws as {@link insertPolicy} for the rules. */
export async function replacePolicyRules(q: Queryable, name: string, rules: unknown): Promise<ItPolicy | 'not-found'> {
  const checked = parseRules(rules);
  const [policy] = await q<ItPolicy[]>`
    update it_policy set rules = ${q.json(checked)}, changed_at = now() where name = ${name}
    returning id, name, preconfigured, rules, changed_at as "changedAt", revision::float8 as revision`;
  return policy ?? 'not-found';
}

/**
 * Deletes a policy; its accounts and groups fall back to the next lower policy. Call `accountsUnderPolicy` first
 * to know who needs a delivery.
 * @throws BrambleError ERR_POLICY_IS_DEFAULT
 */
export async function deletePolicy(q: Queryable, name: string): Promise<'deleted' | 'not-found'> {
  if (name === defaultPolicyName) {
    throw new BrambleError(
      'ERR_POLICY_IS_DEFAULT',
      'The Default policy holds for every account and cannot be deleted: change it.',
    );
  }
  const { count } = await q`delete from it_policy where name = ${name}`;
  return count === 0 ? 'not-found' : 'deleted';
}

/** Assigns a policy to an account, or removes the account's own with null. By the primary key. */
export async function assignAccountPolicy(q: Queryable, accountId: string, policyId: string | null): Promise<void> {
  if (policyId === null) {
    await q`delete from account_policy where account_id = ${accountId}`;
    return;
  }
  await q`
    insert into account_policy (account_id, policy_id) values (${accountId}, ${policyId})
    on conflict (account_id) do update set policy_id = excluded.policy_id`;
}

/** The same for a group. */
export async function assignGroupPolicy(q: Queryable, groupId: string, policyId: string | null): Promise<void> {
  if (policyId === null) {
    await q`delete from group_policy where group_id = ${groupId}`;
    return;
  }
  await q`
    insert into group_policy (group_id, policy_id) values (${groupId}, ${policyId})
    on conflict (group_id) do update set policy_id = excluded.policy_id`;
}
