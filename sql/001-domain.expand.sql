-- The domain itself: one row that says which release works on this database, the processes it wants, the processes it has.

create table domain (
  singleton      boolean primary key default true check (singleton),
  domain_id      uuid not null,
  name           text not null,
  public_url     text not null,                  -- https://host:port, never changes: devices keep it for ever
  tunnel_host    text not null,                  -- the host name that tunnels are opened under
  push_topic     text not null,                  -- one APNs topic for the whole domain
  release        text not null,                  -- the one release of administration services and of this database
  schema_version integer not null,               -- number of the last expanding migration
  feature_level  text not null,                  -- release whose features are active, raised only by finalizing
  created_at     timestamptz not null default now()
);

-- The least release that each kind of component must be of. A component outside its range refuses to start.
create table component_range (
  kind          text primary key,
  least_release text not null
);

create table setting (
  key        text primary key,
  value      jsonb not null,
  updated_at timestamptz not null default now()
);

-- Keys of the domain, encrypted under the master key whose id is key_id; bound to their row by additional data.
create table authority (
  name        text primary key,                  -- 'domain' signs links, routes and servers; 'device' signs identities
  certificate bytea not null,                    -- DER
  private_key bytea not null,                    -- nonce, tag and ciphertext of the PKCS #8 DER
  key_id      text not null,
  created_at  timestamptz not null default now()
);

-- Running processes. A row outlives its process: an absent component holds features back until it is forgotten.
create table component (
  name          text primary key,
  kind          text not null check (kind in ('router', 'server', 'administration', 'connection', 'coordinator')),
  host          text not null,
  boot_id       text not null,
  process_id    integer not null,
  release       text not null,
  link_versions integer[] not null,
  features      text[] not null,
  loopback_url  text,
  detail        jsonb not null default '{}',
  started_at    timestamptz not null default now(),
  lease_until   timestamptz not null,            -- by the database's clock
  stopped_at    timestamptz                      -- set by an orderly stop
);

-- What the supervisors make true on their hosts.
create table desired_process (
  name       text primary key,
  kind       text not null,
  host       text not null,
  release    text not null,
  state      text not null check (state in ('running', 'stopped')),
  settings   jsonb not null default '{}',
  changed_at timestamptz not null default now()
);

create function notify_desired() returns trigger language plpgsql as $$
begin
  perform pg_notify('bramble_desired', '');
  return null;
end $$;
create trigger desired_process_changed after insert or update or delete on desired_process
  for each statement execute function notify_desired();

create table administrator_token (
  id         uuid primary key,
  name       text not null unique,
  digest     bytea not null unique,              -- SHA-256 of the token; the token itself is shown once
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

-- What happened, for people. Append-only.
create table event (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default now(),
  kind    text not null,                         -- such as 'component-registered', 'srp-refused'
  subject text,
  message text not null,
  detail  jsonb not null default '{}'
);
