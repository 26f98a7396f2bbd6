/** For tests: every change of `state` that rows of some tables go through, as triggers see it, whichever statement makes it. */
import assert from 'node:assert/strict';
import type { Database } from './connection.ts';
import type { StateMachine } from './state-machine.ts';

/** Starts recording them. The tables are of a test database, and keep the triggers. */
export async function noteTransitions(db: Database, tables: readonly string[]): Promise<void> {
  await db`create table noted_transition (relation text, before text, after text, unique (relation, before, after))`;
  await db.unsafe(`
    create function note_transition() returns trigger language plpgsql as $$
    begin
      insert into noted_transition values (tg_table_name, case when tg_op = 'UPDATE' then old.state else 'nothing' end, new.state)
        on conflict do nothing;
      return null;
    end $$`);
  for (const table of tables) {
    await db`
      create trigger transition_noted after insert or update of state on ${db(table)}
        for each row execute function note_transition()`;
  }
}

/**
 * Fails if a row started in, or moved to, a state that the machine does not allow. Returns the recorded changes, as
 * `owed → released`; unchanged states are not listed.
 */
export async function assertNotedWithin(
  db: Database,
  table: string,
  machine: Pick<StateMachine<string, never>, 'states' | 'initial' | 'canBecome'>,
): Promise<Set<string>> {
  const noted = await db<{ before: string; after: string }[]>`
    select before, after from noted_transition where relation = ${table} order by 1, 2`;
  for (const { before, after } of noted) {
    const known = before === 'nothing' ? machine.initial.includes(after) : machine.canBecome(before, after);
    assert.ok(known, `${table}: ${before} → ${after} is no transition`);
  }
  return new Set(noted.filter(({ before, after }) => before !== after).map((row) => `${row.before} → ${row.after}`));
}
