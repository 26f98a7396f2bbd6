/**
 * One list out of several: accounts by each of their fields, then devices by each of theirs. A page goes from one to the next until it
 * is full.
 */
import { type AccountConditions, chooseAccounts } from '../../accounts/account-choice.ts';
import { accountWalks } from '../../accounts/account-search.ts';
import type { SearchHit } from '../../api/search.ts';
import { cursorOf, keysOf, type Order } from '../../base/cursor.ts';
import type { Queryable } from '../../database/connection.ts';
import { prefixesOf } from '../../database/prefix.ts';
import type { PrefixWalk } from '../../database/prefix-walk.ts';
import { deviceWalks, type WalkedHit, walkToHits } from '../../devices/device-search.ts';

interface Asked {
  readonly q: string;
  readonly after?: string | undefined;
  readonly limit: number;
}

interface Seen {
  readonly accounts: boolean;
  readonly devices: boolean;
  readonly within: AccountConditions['within'];
}

interface Hits {
  readonly hits: SearchHit[];
  readonly next: string | null;
}

/** The number of the walk stands before the keys in it. */
const order: Order = { list: 'search', sort: 'match', keys: ['number', 'text', 'id'] };

/** Statements for one page: of those that look at many rows in vain. */
const mostLooks = 4;

/** @param seen what whoever asks may see */
export async function search(db: Queryable, { q, after, limit }: Asked, seen: Seen): Promise<Hits> {
  const choice = await chooseAccounts(db, { within: seen.within });
  const prefixes = prefixesOf(q);
  const [accounts, devices] = [accountWalks(choice, prefixes), deviceWalks(choice, prefixes)];
  const look = (from: string | undefined, most: number) =>
    lookOnce(db, { accounts, devices }, seen, { after: from, limit: most });
  let page = await look(after, limit);
  for (let looks = 1; looks < mostLooks && page.hits.length < limit && page.next !== null; looks++) {
    const more = await look(page.next, limit - page.hits.length);
    page = { hits: [...page.hits, ...more.hits], next: more.next };
  }
  return page;
}

interface Walks {
  readonly accounts: ReturnType<typeof accountWalks>;
  readonly devices: ReturnType<typeof deviceWalks>;
}

async function lookOnce(
  db: Queryable,
  { accounts, devices }: Walks,
  seen: Seen,
  { after, limit }: Omit<Asked, 'q'>,
): Promise<Hits> {
  const all = [...accounts, ...devices];
  const [place, key, id] = after === undefined ? [0] : (keysOf(order, after) as [number, string, string]);
  // Numbers stay what they are, whatever may not be seen.
  const start = seen.accounts ? place : Math.max(place, accounts.length);
  const walks = seen.devices ? all : accounts;
  if (start >= walks.length) return { hits: [], next: null };
  const rows = await walkToHits(db, walks, accounts.length, {
    start,
    after: start === place && key !== undefined && id !== undefined ? [key, id] : undefined,
    limit: limit + 1,
  });
  const end = rows.findIndex(({ isEnd }) => isEnd);
  const found = (end < 0 ? rows : rows.slice(0, end + 1)).filter(({ fits }) => fits);
  const shown = found.slice(0, limit);
  const last = found.length > limit ? shown.at(-1) : rows[end];
  return {
    hits: shown.map((row) => hitOf(row, all)),
    next: last === undefined ? null : cursorOf(order, [last.part, last.key, last.id]),
  };
}

function hitOf(row: WalkedHit, walks: readonly PrefixWalk<string>[]): SearchHit {
  const { part, account, displayName, instance, device } = row;
  const field = walks[part]?.field ?? '';
  return {
    kind: device === null ? 'account' : 'device',
    field: field === 'lastWord' ? 'displayName' : field,
    ...{ account, displayName, instance, device },
  };
}
