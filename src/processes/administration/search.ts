/**
 * One list out of several: accounts by each of their fields, then devices by each of theirs. A page goes from one to the next until it
 * is full.
 */
import { type AccountChoice, type AccountConditions, chooseAccounts } from '../../accounts/account-choice.ts';
import { type FieldSearch, searchAccounts, searchedAccountFields } from '../../accounts/account-search.ts';
import type { SearchHit } from '../../api/search.ts';
import { cursorOf, keysOf, type Order } from '../../base/cursor.ts';
import type { Queryable } from '../../database/connection.ts';
import { prefixesOf } from '../../database/prefix.ts';
import { searchDevices, searchedDeviceFields } from '../../devices/device-search.ts';

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

interface Found {
  readonly key: string;
  readonly id: string;
  readonly hit: SearchHit;
}

/** One field under one beginning. */
type Part = (search: Pick<FieldSearch<never>, 'after' | 'limit'>) => Promise<readonly Found[]>;

/** The number of the part stands before the keys in it. */
const order: Order = { list: 'search', sort: 'match', keys: ['number', 'text', 'id'] };

/** @param seen what whoever asks may see */
export async function search(
  db: Queryable,
  { q, after, limit }: Asked,
  seen: Seen,
): Promise<{ hits: SearchHit[]; next: string | null }> {
  const parts = partsOf(db, prefixesOf(q), await chooseAccounts(db, { within: seen.within }), seen);
  const [start, key, id] = after === undefined ? [0] : (keysOf(order, after) as [number, string, string]);
  const hits: { part: number; found: Found }[] = [];
  for (let part = start; part < parts.length && hits.length <= limit; part++) {
    const behind = part === start && key !== undefined && id !== undefined ? ([key, id] as const) : undefined;
    const found = (await parts[part]?.({ after: behind, limit: limit + 1 - hits.length })) ?? [];
    hits.push(...found.map((one) => ({ part, found: one })));
  }
  const last = hits.length > limit ? hits[limit - 1] : undefined;
  return {
    hits: hits.slice(0, limit).map(({ found }) => found.hit),
    next: last === undefined ? null : cursorOf(order, [last.part, last.found.key, last.found.id]),
  };
}

/** Those of what may not be seen find nothing, so that the numbers of the others stay. */
function partsOf(db: Queryable, prefixes: readonly string[], accounts: AccountChoice, seen: Seen): readonly Part[] {
  const each = <Field>(
    fields: readonly Field[],
    visible: boolean,
    part: (of: FieldSearch<Field>) => Promise<Found[]>,
  ) =>
    fields.flatMap((field) =>
      prefixes.map(
        (prefix): Part =>
          async (page) =>
            visible ? await part({ ...page, field, prefix, prefixes, accounts }) : [],
      ),
    );
  return [
    ...each(searchedAccountFields, seen.accounts, async (of) =>
      (await searchAccounts(db, of)).map(({ id, key, name, displayName, instance }) => {
        const field = of.field === 'lastWord' ? 'displayName' : of.field;
        return { id, key, hit: { kind: 'account', field, account: name, displayName, instance, device: null } };
      }),
    ),
    ...each(searchedDeviceFields, seen.devices, async (of) =>
      (await searchDevices(db, of)).map(({ key, account, displayName, instance, ...device }) => {
        return { id: device.id, key, hit: { kind: 'device', field: of.field, account, displayName, instance, device } };
      }),
    ),
  ];
}
