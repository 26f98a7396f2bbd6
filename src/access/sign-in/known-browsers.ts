/** Browsers that somebody has signed in at before: others' guesses do not slow these down. */
import type { Queryable } from '../../database/connection.ts';

export async function isKnownBrowser(q: Queryable, digest: Buffer, name: string): Promise<boolean> {
  const rows = await q`
    select from administrator_browser b join administrator a on a.id = b.administrator_id
     where b.digest = ${digest} and lower(a.name) = lower(${name})`;
  return rows.length === 1;
}

/** One browser is known for whoever signed in there last. */
export async function rememberBrowser(q: Queryable, digest: Buffer, administratorId: string): Promise<void> {
  await q`
    insert into administrator_browser (digest, administrator_id) values (${digest}, ${administratorId})
    on conflict (digest) do update set administrator_id = excluded.administrator_id, used_at = now()`;
}
