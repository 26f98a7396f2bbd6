/**
 * A place where the database holds values under the master key, as its owner describes it: what is sealed there by which
 * key, and how it is sealed again after the key was rotated. All of them: `processes/administration/sealed-places.ts`.
 */
import type { Queryable, Transaction } from './connection.ts';
import { type MasterKeys, openValue, sealValue } from './sealed-value.ts';

export interface SealedPlace {
  /** `table.column`, or `setting/key`. */
  readonly name: string;
  /** Whether a changed row is recorded in the audit; of places with a row for each device only the order is. */
  readonly recorded: boolean;
  /** How many values each key has sealed here. */
  count(q: Queryable): Promise<{ keyId: string; count: number }[]>;
  /**
   * Seals some of the values after this one that another key than the current one has sealed, and that nobody holds at the
   * moment. Returns where to go on, or null at the end. A value that changes meanwhile stays as it was changed to.
   */
  sealAgain(tx: Transaction, keys: MasterKeys, after: string | null): Promise<string | null>;
}

interface SealedColumn<Row extends object> {
  readonly table: string;
  readonly column: string;
  /** The column that says which key has sealed it. */
  readonly keyId: string;
  readonly recorded: boolean;
  /** The columns of a row to which its value is bound. */
  readonly boundTo: readonly (keyof Row & string)[];
  readonly place: (row: Row) => string;
}

/** A column of a table with few rows: all of them are sealed again in one transaction. */
export function sealedColumn<Row extends object>({
  table,
  column,
  keyId,
  recorded,
  boundTo,
  place,
}: SealedColumn<Row>): SealedPlace {
  const columns: string[] = [...boundTo, keyId];
  return {
    name: `${table}.${column}`,
    recorded,
    count: async (q) =>
      await q<{ keyId: string; count: number }[]>`
        select ${q(keyId)} as "keyId", count(*)::int as count
          from ${q(table)} where ${q(column)} is not null group by 1`,
    sealAgain: async (tx, keys) => {
      const rows = await tx<(Row & { sealed: Buffer; sealedBy: string })[]>`
        select ${tx(columns)}, ${tx(column)} as sealed, ${tx(keyId)} as "sealedBy" from ${tx(table)}
         where ${tx(column)} is not null and ${tx(keyId)} <> ${keys.current}
           for update skip locked`;
      for (const row of rows) {
        const again = sealedAgain(keys, place(row), { ciphertext: row.sealed, keyId: row.sealedBy });
        await tx`
          update ${tx(table)} set ${tx(column)} = ${again.ciphertext}, ${tx(keyId)} = ${again.keyId}
           where ${tx(column)} = ${row.sealed}`;
      }
      return null;
    },
  };
}

/** The same value under the current key. @throws as `openValue` */
export function sealedAgain(keys: MasterKeys, place: string, sealed: { ciphertext: Buffer; keyId: string }) {
  return sealValue(keys, place, openValue(keys, place, sealed.ciphertext, sealed.keyId));
}
