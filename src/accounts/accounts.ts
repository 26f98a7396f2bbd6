/**
 * User accounts as the administration sees them. Every function that writes takes the administration's transaction;
 * only an account move changes the owner and epoch of an account.
 */
import type { AccountId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { isMarked } from './account-fence.ts';
import { type AccountSkip, importAccounts, type ListOnTrial, type NewAccount } from './account-import.ts';
import type { Within } from './account-scope.ts';

/** An account with its instance; `epoch` counts its owners, from 1. */
export interface Account {
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
  within: Within = null,
): Promise<CreateAccountOutcome> {
  const [outcome] = await importAccounts(tx, [account], listOnTrial, within);
  if (outcome === undefined) throw new TypeError('an import of one row answered none');
  if (outcome.kind === 'skipped') return { kind: outcome.reason };
  const created = await getAccount(tx, outcome.name);
  if (created === undefined) throw new TypeError('an account that was just created is not there');
  return { kind: 'created', account: created };
}

/** By its stored name (see `accountNameOf`); through the unique index of names. */
export async function getAccount(q: Queryable, name: string): Promise<Account | undefined> {
  const [row] = await q<Account[]>`
    select ${accountColumns(q)} from account a join instance i on i.id = a.instance_id where a.name = ${name}`;
  return row;
}

/** The same, as it stays until the transaction ends, its groups included. */
export async function lockedAccount(tx: Transaction, name: string): Promise<Account | undefined> {
  await tx`select from account where name = ${name} for update`;
  return await getAccount(tx, name);
}

/** Of account `a` and its instance `i`. */
export function accountColumns(q: Queryable): SqlFragment {
  return q`
    a.id, a.name, a.display_name as "displayName", a.instance_id as "instanceId", i.name as instance,
    i.srp_identifier as "srpIdentifier", a.epoch::float8 as epoch, ${isMarked(q)} as moving,
    array(select g.name from group_member m join account_group g on g.id = m.group_id
          where m.account_id = a.id order by g.rank) as groups,
    (select count(*)::int from device d where d.account_id = a.id and d.state <> 'gone') as "deviceCount",
    a.created_at as "createdAt"`;
}

/** Deletes the account with its devices, commands and deliveries; waits for any holder of its row lock. */
export async function deleteAccount(tx: Transaction, name: string): Promise<'deleted' | 'not-found'> {
  const rows = await tx<{ id: string }[]>`delete from account where name = ${name} returning id`;
  return rows.length > 0 ? 'deleted' : 'not-found';
}
