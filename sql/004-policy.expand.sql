-- IT policies, service books, and their budgeted delivery.

create table it_policy (
  id            uuid primary key,
  name          text not null unique,
  preconfigured boolean not null default false,
  rules         jsonb not null,                  -- rule name -> value
  changed_at    timestamptz not null default now()
);

-- User over group over Default.
create table account_policy (
  account_id uuid primary key references account on delete cascade,
  policy_id  uuid not null references it_policy on delete cascade
);
create table group_policy (
  group_id  uuid primary key references account_group on delete cascade,
  policy_id uuid not null references it_policy on delete cascade
);

-- What the service books of all devices are made of: one row per service.
create table service (
  type     text primary key check (type in ('[CMIME]', '[CICAL]', '[SYNC]', '[IPPP]')),
  settings jsonb not null
);

-- One IT policy, one set of service books or one synchronization owed to one device; done only when the device says so.
--   owed -> released (rate paid, command queued, device woken) -> handed-out (permit taken) -> done | failed
--   handed-out -> suspect (silent past the time-out) -> done | failed;  owed -> superseded
create table delivery (
  id            uuid primary key,
  account_id    uuid not null references account on delete cascade,
  device_id     uuid not null references device on delete cascade,
  item          text not null check (item in ('it-policy', 'service-books', 'synchronization')),
  cause         text not null check (cause in ('move', 'policy-change', 'service-change', 'activation', 'manual', 'retry')),
  move_id       uuid,
  budgeted      boolean not null,
  state         text not null default 'owed'
                check (state in ('owed', 'released', 'handed-out', 'suspect', 'done', 'failed', 'superseded')),
  revision      text,                            -- digest of what was compiled, from released on
  compiled_by   text,                            -- the release whose compiler made it
  instance_id   uuid,                            -- who released it
  owed_at       timestamptz not null default now(),
  released_at   timestamptz,
  woken_at      timestamptz,
  handed_out_at timestamptz,
  settled_at    timestamptz,
  failure       text
) with (fillfactor = 70);
create unique index delivery_owed on delivery (device_id, item) where state = 'owed';
create index delivery_open on delivery (state, owed_at) where state in ('owed', 'released', 'handed-out', 'suspect');
create index delivery_failed on delivery (settled_at) where state = 'failed';
create index delivery_move on delivery (move_id) where move_id is not null;
create index delivery_device on delivery (device_id);

-- The budget's slots, as rows: whoever hands out a budgeted command holds one permit of its instance and one of the domain;
-- a suspect holds one of 'suspects' instead. A budget cannot be overdrawn, whoever crashes.
-- scope: 'domain', 'suspects', or an instance's id. A number below 0 is a surplus one of a lowered budget: never granted.
create table delivery_permit (
  scope       text not null,
  number      integer not null,
  delivery_id uuid,
  taken_at    timestamptz,
  primary key (scope, number)
) with (fillfactor = 50);
create index delivery_permit_delivery on delivery_permit (delivery_id) where delivery_id is not null;

-- Token buckets for releasing (and so waking), filled evenly. scope: 'domain' or an instance's id.
create table send_rate (
  scope       text primary key,
  per_minute  integer not null,
  tokens      double precision not null,
  refilled_at timestamptz not null default now()
);

-- What holds an instance's deliveries back just now, and for how long it has altogether.
create table delivery_hold (
  instance_id  uuid primary key,
  reason       text not null,                    -- 'nothing', 'rate-instance', 'rate-domain', 'slots-instance', 'slots-domain', ...
  waiting      integer not null default 0,
  since        timestamptz not null default now(),
  held_seconds double precision not null default 0,
  updated_at   timestamptz not null default now()
);
