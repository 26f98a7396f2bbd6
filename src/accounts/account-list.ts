/** Pages of accounts. Each sort walks an index of its own. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';
import { type AccountChoice, type AccountConditions, chooseAccounts } from './account-choice.ts';
import { type Account, accountColumns } from './accounts.ts';

export type AccountSort = 'name' | 'createdAt' | 'displayName';

interface AccountPage {
  readonly accounts: readonly Account[];
  readonly next: string | null;
}

/** Of account `a`: by its unique index or account_instance_name, by account_created, by account_display_name. */
const sorts: Sorts<AccountSort> = {
  name: [{ kind: 'text', of: (q) => q`a.name` }],
  createdAt: [
    { kind: 'time', of: (q) => q`a.created_at` },
    { kind: 'id', of: (q) => q`a.id` },
  ],
  displayName: [
    { kind: 'text', of: displayNameKey },
    { kind: 'id', of: (q) => q`a.id` },
  ],
};

/** The same in any database: by bytes, and only ASCII letters become small. */
export function displayNameKey(q: Queryable): SqlFragment {
  return q`lower(left(a.display_name, 200) collate "C")`;
}

/** All accounts, or a few: `offset 0` keeps the planner from walking an index of all for these. */
export function accountsOf(q: Queryable, { few }: AccountChoice): SqlFragment {
  return few === null ? q`account` : q`(select * from account where id = any(array(${few(q)})) offset 0)`;
}

export async function listAccounts(
  q: Queryable,
  asked: PageAsked<AccountSort> & AccountConditions,
): Promise<AccountPage> {
  const choice = await chooseAccounts(q, asked);
  // A cursor has capital letters, and the name of an account has none.
  const isName = (text: string) => asked.sort === 'name' && text === text.toLowerCase();
  const page = pageOf(q, { name: 'accounts', sorts }, asked, (text) => (isName(text) ? [text] : undefined));
  const { rows, next } = page.cut(
    await q<(Account & Keyed)[]>`
      with page as materialized (
        select a.* from ${accountsOf(q, choice)} a
         where ${page.condition} and ${choice.remaining(q, q`a.id`, asked.sort.replace('-', '') === 'name' ? q`a.instance_id` : undefined)}
         order by ${page.order()} limit ${page.most})
      select ${accountColumns(q)}, ${page.keys} as keys
        from page a join instance i on i.id = a.instance_id
       order by ${page.order()}`,
  );
  return { accounts: rows, next };
}
