-- Server instances with their SRP credentials, connection services, user accounts and groups.

create table instance (
  id             uuid primary key,
  name           text not null unique,
  srp_identifier text not null unique check (srp_identifier ~ '^S[0-9]{8}$'),
  created_at     timestamptz not null default now(),
  retired_at     timestamptz
);

-- Belongs to exactly one instance.
create table connection_service (
  id             uuid primary key,
  name           text not null unique,
  srp_identifier text not null unique check (srp_identifier ~ '^C[0-9]{8}$'),
  instance_id    uuid references instance,
  allowed_hosts  text[] not null default '{}',
  created_at     timestamptz not null default now()
);
create index connection_service_instance on connection_service (instance_id);

create sequence srp_number start 10000001 maxvalue 99999999;
create sequence srp_list_number;

-- Every certificate issued for an SRP identifier. A revoked one has a number in the signed list that routers keep.
create table srp_credential (
  serial       text primary key,                 -- hex
  identifier   text not null,
  certificate  bytea not null,
  issued_at    timestamptz not null default now(),
  expires_at   timestamptz not null,
  revoked_at   timestamptz,
  list_number  bigint
);
create index srp_credential_identifier on srp_credential (identifier);

-- Suspensions that an administrator lifted (`bramble srp clear`), told to routers in the same list.
create table srp_clearance (
  list_number bigint primary key,
  identifier  text not null,
  at          timestamptz not null default now()
);

-- The fence of everything that belongs to an account: whoever writes locks this row FOR SHARE and compares owner and epoch
-- in the same statement. Nothing that changes often stands here.
create table account (
  id           uuid primary key,
  name         text not null unique,
  display_name text not null,
  instance_id  uuid not null references instance,
  epoch        bigint not null default 1,
  created_at   timestamptz not null default now()
);
create index account_instance on account (instance_id);

-- A mover's mark: writers of an instance step back until then (database's clock), so that overlapping FOR SHARE holders
-- cannot starve the move. It stands beside the account row, since setting it there would have to wait for them. It is a
-- courtesy, not the fence. Part of every fence:
--   and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
create table account_mark (
  account_id uuid primary key references account on delete cascade,
  move_id    uuid not null,
  until      timestamptz not null
);

-- Who owned an account at which epoch. Written in the transaction that changes the owner.
create table account_epoch (
  account_id  uuid not null references account on delete cascade,
  epoch       bigint not null,
  instance_id uuid not null references instance,
  since       timestamptz not null default now(),
  primary key (account_id, epoch)
);

create table account_group (
  id   uuid primary key,
  name text not null unique,
  rank integer not null unique                   -- the lower number wins between groups
);

create table group_member (
  group_id   uuid not null references account_group on delete cascade,
  account_id uuid not null references account on delete cascade,
  primary key (group_id, account_id)
);
create index group_member_account on group_member (account_id);

create table activation_password (
  account_id uuid primary key references account on delete cascade,
  salt       bytea not null,
  digest     bytea not null,                     -- scrypt
  expires_at timestamptz not null,
  tries_left integer not null,
  created_at timestamptz not null default now()
);
