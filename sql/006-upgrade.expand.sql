-- The domain's upgrade: one open row, changed by compare-and-set on (state, generation), beside an append-only log.

create table upgrade (
  id           uuid primary key,
  from_release text not null,
  to_release   text not null,
  state        text not null check (state in ('planned', 'checked', 'admin-fenced', 'expanded', 'admin-upgraded', 'moving',
                 'all-moved', 'soaking', 'finalizing', 'done', 'paused', 'reversing', 'reversed', 'cancelled')),
  generation   bigint not null default 1,
  paused_from  text,
  pause_reason text,
  plan         jsonb not null,
  progress     jsonb not null default '{}',      -- idempotent steps that are done, by name
  lease_holder text,                             -- the coordinator at work
  lease_until  timestamptz,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  finished_at  timestamptz
);
create unique index upgrade_open on upgrade ((true)) where state not in ('done', 'reversed', 'cancelled');

create table upgrade_event (
  id         bigint generated always as identity primary key,
  upgrade_id uuid not null references upgrade,
  at         timestamptz not null default now(),
  generation bigint not null,
  state      text not null,
  message    text not null,
  detail     jsonb not null default '{}'
);

create table upgrade_wave (
  upgrade_id  uuid not null references upgrade,
  number      integer not null,
  name        text not null,
  state       text not null default 'waiting' check (state in ('waiting', 'running', 'soaking', 'passed', 'failed')),
  gate        jsonb,                             -- the last answer: pass, fail or undecided, with its figures
  started_at  timestamptz,
  soaking_at  timestamptz,
  finished_at timestamptz,
  primary key (upgrade_id, number)
);

-- Where each account is to go, and in which wave: changeable on the way (`bramble accounts assign`).
create table upgrade_assignment (
  upgrade_id       uuid not null references upgrade,
  account_id       uuid not null references account on delete cascade,
  wave_number      integer not null,
  from_instance_id uuid not null references instance,
  to_instance_id   uuid not null references instance,
  primary key (upgrade_id, account_id)
);
create index upgrade_assignment_wave on upgrade_assignment (upgrade_id, wave_number);
