-- Functions that run as the owner of the schema are for its own triggers. Anybody may use a function by default: a role could make a trigger
-- of a temporary table with one, and have the owner carry out what it likes. The right is asked for when a trigger is made, not when it
-- fires, so triggers that exist go on.
revoke execute on function audit_row(), audit_rows(), component_interrupted(), owe_notices() from public;

-- Thousands of moves that were just queued are planned for as what they are, by every session and from their commit on. Until autovacuum
-- came, statements would take indexes of open moves for empty ones, and read all of them for each move (docs/adr/0035). Only the owner may
-- analyse a table. Whatever goes wrong here, the rows are written.
create function analyze_bulk() returns trigger language plpgsql security definer as $$
begin
  if exists (select from new_rows offset 499) then
    execute format('analyze (skip_locked) %I.%I', tg_table_schema, tg_table_name);
  end if;
  return null;
exception when others then
  raise log '% is not analysed: %', tg_table_name, sqlerrm;
  return null;
end $$;
do $$
begin
  execute format('alter function analyze_bulk() set search_path = %I, pg_temp', current_schema());
end $$;
revoke execute on function analyze_bulk() from public;

create trigger bulk_analyzed after insert on account_move referencing new table as new_rows for each statement
  execute function analyze_bulk();
