-- Account moves: durable, each on its own, in batches that can be paused.

create table move_batch (
  id           uuid primary key,
  purpose      text not null check (purpose in ('manual', 'wave', 'reverse', 'back')),
  upgrade_id   uuid,
  wave_number  integer,
  state        text not null check (state in ('running', 'paused', 'done')),
  pause_reason text,
  created_by   text not null,
  created_at   timestamptz not null default now()
);

-- queued -> reserved -> fenced -> committed (= delivering) -> settled -> closed;  before committed: rolled-back | cancelled
create table account_move (
  id               uuid primary key,             -- idempotency key
  batch_id         uuid not null references move_batch,
  account_id       uuid not null references account on delete cascade,
  from_instance_id uuid not null references instance,
  to_instance_id   uuid not null references instance,
  state            text not null default 'queued'
                   check (state in ('queued', 'reserved', 'fenced', 'delivering', 'settled', 'closed', 'rolled-back', 'cancelled')),
  attempts         integer not null default 0,
  retry_at         timestamptz,                  -- not before, after a failed attempt
  reserved_by      text,
  reserved_until   timestamptz,
  epoch_after      bigint,
  pending_commands integer,                      -- carried over
  queued_at        timestamptz not null default now(),
  fenced_at        timestamptz,
  committed_at     timestamptz,
  settled_at       timestamptz,
  closed_at        timestamptz,
  out_of_reach     boolean not null default false,       -- its devices were woken and did not come
  failure          text
) with (fillfactor = 70);
create unique index account_move_open on account_move (account_id)
  where state not in ('closed', 'rolled-back', 'cancelled');
create index account_move_batch on account_move (batch_id, state);
create index account_move_waiting on account_move (queued_at) where state in ('queued', 'reserved', 'fenced', 'delivering');
