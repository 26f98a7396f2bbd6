/** Whom an IT policy reaches, by its assignments to accounts and groups. */
import type { Queryable } from '../database/connection.ts';
import { defaultPolicyName } from '../policies/preconfigured-policies.ts';
import { isAccountWithin, isGroupWithin, type Within } from './account-scope.ts';

interface PolicyAssignments {
  accounts: number;
  groups: number;
  /** Devices under management, of these accounts and of the groups' members. */
  devices: number;
}

/** Where a policy is assigned, as far as somebody sees it; Default applying to everybody is not an assignment. */
export async function assignmentsOf(q: Queryable, policyId: string, within: Within): Promise<PolicyAssignments> {
  const [row] = await q<PolicyAssignments[]>`
    select (select count(*)::int from account_policy p
             where p.policy_id = ${policyId} and ${isAccountWithin(q, q`p.account_id`, within)}) as accounts,
           (select count(*)::int from group_policy p
             where p.policy_id = ${policyId} and ${isGroupWithin(q, q`p.group_id`, within)}) as groups,
           (select count(*)::int from device d
             where d.state <> 'gone' and ${isAccountWithin(q, q`d.account_id`, within)}
               and (d.account_id in (select account_id from account_policy where policy_id = ${policyId})
                 or d.account_id in (select m.account_id from group_policy g join group_member m on m.group_id = g.group_id
                                      where g.policy_id = ${policyId}))) as devices`;
  return row ?? { accounts: 0, groups: 0, devices: 0 };
}

/** The accounts affected by a policy: its own, those of its groups, and all for Default. */
export async function accountsUnderPolicy(q: Queryable, policyId: string): Promise<string[]> {
  const rows = await q<{ id: string }[]>`
    select a.id from account a
     where exists (select 1 from it_policy p where p.id = ${policyId} and p.name = ${defaultPolicyName})
        or a.id in (select account_id from account_policy where policy_id = ${policyId})
        or a.id in (select m.account_id from group_policy g join group_member m on m.group_id = g.group_id
                     where g.policy_id = ${policyId})
     order by a.id`;
  return rows.map((row) => row.id);
}
