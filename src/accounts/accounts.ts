/**
 * User accounts as the administration sees them. Every function that writes takes the administration's transaction;
 * only an account move changes the owner and epoch of an account.
 */
import type { AccountId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { isMarked } from './account-fence.ts';
import { type AccountSkip, importAccounts, type ListOnTrial, type NewAccount } from './account-import.ts';

/** An account with its instance; `epoch` counts its owners, from 1. */
interface Account {
  readonly id: AccountId;
  readonly name: string;
  readonly displayName: string;
  readonly instanceId: InstanceId;
  readonly instance: string;
  readonly srpIdentifier: SrpIdentifier;
  readonly epoch: number;
  /** A mover has marked it: writers back off until the mark is removed. */
  readonly moving: boolean;
  readonly groups: readonly string[];
  readonly deviceCount: number;
  readonly createdAt: Date;
}

type CreateAccountOutcome = { readonly kind: 'created'; readonly account: Account } | { readonly kind: AccountSkip };

/** Creates one account at the named instance, or at the one with the fewest accounts. */
export async function createAccount(
  tx: Transaction,
  account: NewAccount,
  listOnTrial: ListOnTrial,
): Promise<CreateAccountOutcome> {
  const [outcome] = await importAccounts(tx, [account], listOnTrial);
  if (outcome === undefined) throw new TypeError('an import of one row answered none');
  if (outcome.kind === 'skipped') return { kind: outcome.reason };
  const created = await getAccount(tx, outcome.name);
  if (created === undefined) throw new TypeError('an account that was just created is not there');
  return { kind: 'created', account: created };
}

/** By its stored name (see `accountNameOf`); through the unique index of names. */
export async function getAccount(q: Queryable, name: string): Promise<Account | undefined> {
  const [row] = await q<Account[]>`
    select a.id, a.name, a.display_name as "displayName", a.instance_id as "instanceId", i.name as instance,
      i.srp_identifier as "srpIdentifier", a.epoch::float8 as epoch,
      ${isMarked(q)} as moving,
      array(select g.name from group_member m join account_group g on g.id = m.group_id
            where m.account_id = a.id order by g.rank) as groups,
      (select count(*)::int from device d where d.account_id = a.id and d.state <> 'gone') as "deviceCount",
      a.created_at as "createdAt"
    from account a join instance i on i.id = a.instance_id
    where a.name = ${name}`;
  return row;
}

interface AccountFilter {
  /** Name of an instance. */
  readonly instance?: string | undefined;
  /** Name of a group. */
  readonly group?: string | undefined;
  /** Only names after this one, the last of the previous page. */
  readonly after?: string | undefined;
  /** Maximum number of rows, 1 to 1,000; default 100. */
  readonly limit?: number | undefined;
}

/** One page of accounts by name, and the name to continue after if there are more. */
interface AccountPage {
  readonly accounts: readonly Account[];
  readonly next: string | undefined;
}

/** Keyset paging along the unique index of names; the filters are semi-joins on group_member's primary key. */
export async function listAccounts(q: Queryable, filter: AccountFilter = {}): Promise<AccountPage> {
  const limit = Math.min(Math.max(Math.trunc(filter.limit ?? 100), 1), 1000);
  const instance = filter.instance ?? null;
  const group = filter.group ?? null;
  const rows = await q<Account[]>`
    with page as materialized (
      select a.id, a.name, a.display_name, a.instance_id, i.name as instance, i.srp_identifier, a.epoch,
        a.created_at
      from account a join instance i on i.id = a.instance_id
      where a.name > ${filter.after ?? ''}
        and (${instance}::text is null or i.name = ${instance})
        and (${group}::text is null or exists (
          select from group_member m join account_group g on g.id = m.group_id
          where m.account_id = a.id and g.name = ${group}))
      order by a.name
      limit ${limit + 1}
    )
    select p.id, p.name, p.display_name as "displayName", p.instance_id as "instanceId", p.instance,
      p.srp_identifier as "srpIdentifier", p.epoch::float8 as epoch,
      ${isMarked(q, q`p.id`)} as moving,
      array(select g.name from group_member m join account_group g on g.id = m.group_id
            where m.account_id = p.id order by g.rank) as groups,
      (select count(*)::int from device d where d.account_id = p.id and d.state <> 'gone') as "deviceCount",
      p.created_at as "createdAt"
    from page p
    order by p.name`;
  const accounts = rows.slice(0, limit);
  return { accounts, next: rows.length > limit ? accounts.at(-1)?.name : undefined };
}

/** Deletes the account with its devices, commands and deliveries; waits for any holder of its row lock. */
export async function deleteAccount(tx: Transaction, name: string): Promise<'deleted' | 'not-found'> {
  const rows = await tx<{ id: string }[]>`delete from account where name = ${name} returning id`;
  return rows.length > 0 ? 'deleted' : 'not-found';
}
