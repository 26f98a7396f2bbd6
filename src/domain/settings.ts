/** Settings of the domain by key: each key's shape is owned by the feature that reads it. */
import type * as z from 'zod';
import type { Queryable, Transaction } from '../database/connection.ts';

/** The stored value parsed by `schema`, or the result of parsing `{}` when none is stored. */
export async function readSetting<Schema extends z.ZodType>(
  q: Queryable,
  key: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  const [row] = await q<{ value: unknown }[]>`select value from setting where key = ${key}`;
  return schema.parse(row?.value ?? {});
}

/** The stored value within a statement; null when none is stored. */
export const storedSetting = (q: Queryable, key: string) => q`(select value from setting where key = ${key})`;

export async function writeSetting(q: Queryable, key: string, value: object): Promise<void> {
  await q`
    insert into setting (key, value) values (${key}, ${q.json(value as never)})
    on conflict (key) do update set value = excluded.value, updated_at = now()`;
}

/** Where one is stored. */
export async function replaceSetting(q: Queryable, key: string, value: object): Promise<void> {
  await q`update setting set value = ${q.json(value as never)}, updated_at = now() where key = ${key}`;
}

/** Until the transaction ends, nobody else changes it. */
export async function lockSetting(tx: Transaction, key: string): Promise<void> {
  await tx`select from setting where key = ${key} for no key update`;
}
