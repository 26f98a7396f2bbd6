-- Devices under management, their command queues, and how their routine requests fare.

create table device (
  id                      uuid primary key,
  account_id              uuid not null references account on delete cascade,
  token                   text not null unique,  -- path token in the device's ServerURL
  platform                text not null check (platform in ('apple', 'agent')),
  state                   text not null check (state in ('offered', 'certified', 'authenticated', 'active', 'gone')),
  scep_challenge          text not null,
  scep_transaction        text,
  identity_key            bytea,                 -- SHA-256 of the SubjectPublicKeyInfo that the identity was issued for
  identity_certificate    bytea,                 -- DER
  identity_fingerprint    text unique,           -- SHA-256 of it, hex
  identity_expires_at     timestamptz,
  udid                    text,
  enrollment_id           text,
  serial_number           text,
  model                   text,
  product                 text,
  os_version              text,
  software_version        text,                  -- device software of agent devices
  topic                   text,
  push_token              bytea,
  push_magic              text,
  unlock_token            bytea,                 -- encrypted, as the bootstrap token
  unlock_token_key        text,                  -- id of the master key that sealed it, as the next but one
  bootstrap_token         bytea,
  bootstrap_token_key     text,
  options                 jsonb not null default '{}',   -- device options, kept over re-activation
  inventory               jsonb not null default '{}',
  synchronized_at         timestamptz,
  applied_policy_revision text,
  applied_books_revision  text,
  last_seen_at            timestamptz,
  woken_at                timestamptz,
  push_state              text not null default 'ok' check (push_state in ('ok', 'wait-for-token')),
  created_at              timestamptz not null default now()
) with (fillfactor = 70);
create index device_account on device (account_id);

-- The user channel of a shared device: further tokens under the same identity.
create table device_user (
  device_id  uuid not null references device on delete cascade,
  user_id    text not null,
  user_name  text,
  push_token bytea not null,
  push_magic text not null,
  updated_at timestamptz not null default now(),
  primary key (device_id, user_id)
);

create table command (
  id                uuid primary key,            -- CommandUUID
  sequence          bigint generated always as identity,
  device_id         uuid not null references device on delete cascade,
  account_id        uuid not null,
  delivery_id       uuid,                        -- the budgeted or unbudgeted delivery that it carries
  budgeted          boolean not null default false,      -- needs a permit to be handed out
  urgent            boolean not null default false,      -- jumps the queue
  request_type      text not null,
  body              bytea not null,              -- the whole plist as it goes to the device
  state             text not null default 'queued'
                    check (state in ('queued', 'sent', 'not-now', 'acknowledged', 'error', 'cancelled')),
  queued_at         timestamptz not null default now(),
  sent_at           timestamptz,
  sent_count        integer not null default 0,
  sent_instance     uuid,                        -- who handed it out last, and at which epoch of the account
  sent_epoch        bigint,
  answered_at       timestamptz,
  answered_instance uuid,
  answered_epoch    bigint,
  answer            jsonb
) with (fillfactor = 70);
create index command_pending on command (device_id, urgent desc, sequence) where state in ('queued', 'sent', 'not-now');
create index command_history on command (device_id, sequence);
create index command_answered on command (answered_at) where state in ('acknowledged', 'error', 'cancelled');
create index command_delivery on command (delivery_id) where delivery_id is not null;

-- How the routine requests of an account fared, per instance and ten seconds: what gates compare. It is the instance's own
-- telemetry, not the account's data: no fence.
create table request_sample (
  instance_id    uuid not null,
  account_id     uuid not null,
  bucket         timestamptz not null,
  requests       integer not null,
  errors         integer not null,
  latency_ms_sum double precision not null,
  latency_ms_max double precision not null,
  primary key (account_id, bucket, instance_id)
);
create index request_sample_bucket on request_sample (bucket);
