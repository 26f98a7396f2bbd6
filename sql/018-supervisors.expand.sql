-- The supervisor of each host says which release it is of. Release 1.1 neither reads nor writes it: of its supervisors there is
-- no row, or one that is not renewed.

create table supervisor (
  host               text primary key,
  release            text not null,
  process_id         integer not null,
  node_version       text not null,
  postgres_binaries  text,                        -- what it would start the embedded PostgreSQL from; null with an external one
  postgres_server    text not null,               -- what the database runs on
  started_at         timestamptz not null default now(),
  seen_at            timestamptz not null default now()
);
