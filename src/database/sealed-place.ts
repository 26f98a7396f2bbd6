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

/** The same value under the current key. @throws as `openValue` */
export function sealedAgain(keys: MasterKeys, place: string, sealed: { ciphertext: Buffer; keyId: string }) {
  return sealValue(keys, place, openValue(keys, place, sealed.ciphertext, sealed.keyId));
}
