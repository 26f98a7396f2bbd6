-- Backups that hosts make by themselves, and how the last one went (docs/adr/0042-backups.md). What is to be done lies in the host's
-- home; this is what others see of it, and how they notice that nothing is done. Release 1.3 knows nothing of it.
create table backup_schedule (
  host        text primary key,
  daily       text not null,                   -- time of day, in that zone
  zone        text not null,                   -- the host's own, as its last run had it
  folder      text not null,
  keep        integer,
  verifies    boolean not null,
  set_by      text not null,
  set_at      timestamptz not null default now(),
  -- Written by each run.
  due_at      timestamptz not null,            -- when the first one after the last good one is to begin
  good_at     timestamptz,                     -- end of the last good one
  good_file   text,
  tried_at    timestamptz,                     -- end of the last one
  failure     text                             -- of the last one; null if it was good
);

select audit_attach('backup_schedule', '{insert,"update of daily, folder, keep, verifies",delete}', '{}', 'array[r.host]',
  '{host,daily,zone,folder,keep,verifies,set_by,set_at}');
