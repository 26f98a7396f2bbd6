/** Accounts whose name, display name, or its last word, begins with what is searched for. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type PrefixWalk, prefixWalks } from '../database/prefix-walk.ts';
import type { AccountChoice } from './account-choice.ts';
import { accountsOf, displayNameKey } from './account-list.ts';

/** Of account `a`, each along an index: account_name_prefix, account_display_name, account_last_word. */
const keys = {
  name: (q: Queryable) => q`lower(a.name collate "C")`,
  displayName: displayNameKey,
  lastWord: (q: Queryable) => q`lower(left(substring(a.display_name from '[^ ]*$'), 200) collate "C")`,
} as const satisfies Record<string, (q: Queryable) => SqlFragment>;

export function accountWalks(
  choice: AccountChoice,
  prefixes: readonly string[],
): readonly PrefixWalk<keyof typeof keys>[] {
  const table = {
    from: (q: Queryable) => q`${accountsOf(q, choice)} a`,
    id: (q: Queryable) => q`a.id`,
    fits: (q: Queryable) => choice.remaining(q, q`a.id`),
  };
  return prefixWalks({ ...table, keys }, prefixes);
}
