-- Events are told as they are written, in the order (transaction, id): ids alone are committed out of order, and one that
-- comes late would be lost (docs/adr/0060-live-events.md).

-- Null for events of before, and for those that came from another cluster: they are before all others. In two steps, as one with
-- the default would rewrite the table.
alter table event add column transaction xid8;
alter table event alter column transaction set default pg_current_xact_id();

-- For each row: a statement of the instances' that could write events writes none nearly always, and then tells nothing.
create trigger change_noticed after insert on event for each row execute function notify_change();

-- Which stream it is: a new one where numbers of transactions begin anew, in a restored or exported database.
create table event_stream (
  singleton boolean primary key default true check (singleton),
  stream    uuid not null default gen_random_uuid()
);
insert into event_stream default values;
