/**
 * A copy of a database in which programs can work and change nothing: rows that they insert, change or delete are as they were, without
 * an error, in all tables but those that are named. A program that reads and plans its statements there is tried as a whole, which a
 * transaction that is read-only would not let it be: it has to register, or it does not start.
 *
 * Invariant: it holds for the tables' owner and for superusers too, whatever settings a session has; for what a trigger of ours writes, too.
 */
import type { Database } from '../connection.ts';
import { quoted } from '../roles/rights-in-force.ts';
import { listTables } from './tables.ts';

export async function freeze(db: Database, spared: readonly string[]): Promise<void> {
  await db.begin(async (tx) => {
    await tx.unsafe(`
      create function frozen_row() returns trigger language plpgsql as $$ begin return null; end $$;
      create function frozen_table() returns trigger language plpgsql as $$
        begin raise 'the table % of this copy is kept as it is', tg_table_name; end $$`);
    for (const { name } of (await listTables(tx)).filter((table) => !spared.includes(table.name))) {
      // The first of a table's triggers: what it drops meets no other.
      await tx.unsafe(`
        create trigger "!frozen" before insert or update or delete on ${quoted(name)} for each row execute function frozen_row();
        create trigger "!frozen_table" before truncate on ${quoted(name)} for each statement execute function frozen_table();
        alter table ${quoted(name)} enable always trigger "!frozen", enable always trigger "!frozen_table"`);
    }
  });
}
