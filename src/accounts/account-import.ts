/**
 * Creates accounts, one or thousands at once. Protects: an account never exists without its first epoch, and no row of
 * an import is skipped silently: each is reported as created, or with the reason why it was not.
 */

import { accountNameOf } from '../base/account-name.ts';
import { BrambleError } from '../base/errors.ts';
import type { AccountId } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import { holdStandingInstances } from '../instances/instance-locks.ts';
import { accountPlacement, type PlacementTarget } from './account-placement.ts';
import { isGroupWithin, type Within } from './account-scope.ts';

/** What an administrator specifies for a new account. */
export interface NewAccount {
  readonly name: string;
  /** Defaults to the name. */
  readonly displayName?: string | undefined;
  /** Name of the instance; defaults to the one with the fewest accounts. */
  readonly instance?: string | undefined;
  /** Names of groups that exist. */
  readonly groups?: readonly string[] | undefined;
}

/** Why an account was not created. */
export type AccountSkip =
  | 'name-taken'
  | 'name-not-valid'
  | 'unknown-instance'
  | 'unknown-group'
  | 'no-group'
  | 'no-instance';

/** In the order of the input rows. */
type ImportedAccount =
  | { readonly kind: 'created'; readonly id: AccountId; readonly name: string }
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: AccountSkip };

/** Instances on trial, added by an upgrade: only accounts that name them are placed there. */
export type ListOnTrial = (tx: Transaction) => Promise<ReadonlySet<string>>;

/**
 * Creates the accounts that can be created, in four statements regardless of their number. A streamed import calls it
 * with up to about a thousand rows at a time, in one transaction; it takes earlier placements into account. Who is limited to
 * groups makes accounts in these only.
 */
export async function importAccounts(
  tx: Transaction,
  rows: readonly NewAccount[],
  listOnTrial: ListOnTrial,
  within: Within = null,
): Promise<ImportedAccount[]> {
  if (rows.length === 0) return [];
  const targets = await placementTargets(tx, listOnTrial);
  const place = accountPlacement(targets);
  const groups = await groupIds(tx, [...new Set(rows.flatMap((row) => row.groups ?? []))], within);
  const outcomes: ImportedAccount[] = [];
  const planned: PlannedAccount[] = [];
  const names = new Set<string>();
  for (const row of rows) {
    const plan = planAccount(row, { place, groups, within, anyInstance: targets.length > 0, taken: names });
    if (plan.kind === 'skipped') {
      outcomes.push(plan);
      continue;
    }
    names.add(plan.name);
    planned.push(plan);
    outcomes.push({ kind: 'created', id: plan.id, name: plan.name });
  }
  const created = await insertAccounts(tx, planned);
  await insertMembers(
    tx,
    planned.filter((plan) => created.has(plan.id)),
  );
  return outcomes.map((outcome) =>
    outcome.kind === 'created' && !created.has(outcome.id)
      ? { kind: 'skipped', name: outcome.name, reason: 'name-taken' }
      : outcome,
  );
}

interface PlannedAccount {
  readonly kind: 'planned';
  readonly id: AccountId;
  readonly name: string;
  readonly displayName: string;
  readonly instanceId: string;
  readonly groupIds: readonly string[];
}

interface Placing {
  readonly place: (named?: string) => string | undefined;
  readonly groups: ReadonlyMap<string, string>;
  readonly within: Within;
  readonly anyInstance: boolean;
  readonly taken: ReadonlySet<string>;
}

function planAccount(
  row: NewAccount,
  { place, groups, within, anyInstance, taken }: Placing,
): PlannedAccount | Extract<ImportedAccount, { kind: 'skipped' }> {
  const skipped = (reason: AccountSkip) => ({ kind: 'skipped', name: row.name, reason }) as const;
  let name: string;
  try {
    name = accountNameOf(row.name);
  } catch (error) {
    if (error instanceof BrambleError) return skipped('name-not-valid');
    throw error;
  }
  if (taken.has(name)) return skipped('name-taken');
  const memberOf = [...new Set(row.groups ?? [])].map((group) => groups.get(group));
  if (memberOf.includes(undefined)) return skipped('unknown-group');
  if (within !== null && memberOf.length === 0) return skipped('no-group');
  const instanceId = place(row.instance);
  if (instanceId === undefined) return skipped(anyInstance ? 'unknown-instance' : 'no-instance');
  const displayName = row.displayName?.trim() || row.name.trim();
  return {
    kind: 'planned',
    id: newId<AccountId>(),
    name,
    displayName,
    instanceId,
    groupIds: memberOf.filter((id) => id !== undefined),
  };
}

/** None of the instances retires meanwhile; counts through index account_instance. */
async function placementTargets(tx: Transaction, listOnTrial: ListOnTrial): Promise<PlacementTarget[]> {
  const standing = await holdStandingInstances(tx);
  const targets = await tx<Omit<PlacementTarget, 'onTrial'>[]>`
    select i.id, i.name,
      (select count(*)::int from account a where a.instance_id = i.id) as "accountCount"
    from instance i
    where i.id = any(${standing.map(({ id }) => id)}::uuid[])
    order by i.name`;
  // After the lock: an instance added meanwhile was recorded by its upgrade in the same transaction.
  const onTrial = await listOnTrial(tx);
  return targets.map((target) => ({ ...target, onTrial: onTrial.has(target.id) }));
}

async function groupIds(
  tx: Transaction,
  names: readonly string[],
  within: Within,
): Promise<ReadonlyMap<string, string>> {
  if (names.length === 0) return new Map();
  const rows = await tx<{ id: string; name: string }[]>`
    select g.id, g.name from account_group g
     where g.name = any(${names}::text[]) and ${isGroupWithin(tx, tx`g.id`, within)} for share`;
  return new Map(rows.map((row) => [row.name, row.id]));
}

/** Sorted by name, so that two imports wait for each other instead of deadlocking on the unique index of names. */
async function insertAccounts(tx: Transaction, accounts: readonly PlannedAccount[]): Promise<ReadonlySet<string>> {
  if (accounts.length === 0) return new Set();
  const sorted = [...accounts].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = await tx<{ id: string }[]>`
    with given as (
      select g.id, g.name, g.display_name, g.instance_id
      from unnest(
        ${sorted.map((account) => account.id)}::uuid[],
        ${sorted.map((account) => account.name)}::text[],
        ${sorted.map((account) => account.displayName)}::text[],
        ${sorted.map((account) => account.instanceId)}::uuid[]
      ) as g (id, name, display_name, instance_id)
    ), created as (
      insert into account (id, name, display_name, instance_id)
      select id, name, display_name, instance_id from given
      on conflict (name) do nothing
      returning id, instance_id, epoch
    ), first_epoch as (
      insert into account_epoch (account_id, epoch, instance_id)
      select id, epoch, instance_id from created
    )
    select id from created`;
  return new Set(rows.map((row) => row.id));
}

async function insertMembers(tx: Transaction, accounts: readonly PlannedAccount[]): Promise<void> {
  const pairs = accounts.flatMap((account) => account.groupIds.map((groupId) => ({ groupId, accountId: account.id })));
  if (pairs.length === 0) return;
  await tx`
    insert into group_member (group_id, account_id)
    select p.group_id, p.account_id
    from unnest(
      ${pairs.map((pair) => pair.groupId)}::uuid[],
      ${pairs.map((pair) => pair.accountId as string)}::uuid[]
    ) as p (group_id, account_id)
    on conflict do nothing`;
}
