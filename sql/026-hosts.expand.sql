-- Further hosts of the domain, and how they join: an administrator invites a host, the host asks in the row of its invitation, and
-- an administration service answers there (docs/adr/0041-hosts-join-through-the-database.md). Releases reach hosts the same way.
-- Release 1.3 reads and writes none of this.

-- A host that joined. The host on which the domain was created has no row: it needs none to be trusted.
create table host (
  name            text primary key,
  public_key      bytea not null,          -- SubjectPublicKeyInfo: signs its requests for first SRP credentials
  joined_at       timestamptz not null default now(),
  administers     boolean not null,        -- has the database roles of administration services and coordinators
  draining_since  timestamptz              -- nothing new is placed on it
);

create table host_invitation (
  id              uuid primary key,
  host            text not null unique,    -- a new invitation replaces the previous one
  secrets         bytea not null,          -- sealed under the master key; the invitation has it in clear
  key_id          text not null,
  database_url    text not null,           -- as the host reaches it, without user and password
  administers     boolean not null,        -- whether administration services may run there
  invited_by      text not null,
  invited_at      timestamptz not null default now(),
  expires_at      timestamptz not null,
  request         text check (length(request) <= 4096),   -- JSON of the host
  proof           text check (length(proof) <= 100),      -- HMAC of the request under the secret: that it comes from who was invited
  requested_at    timestamptz,
  answer          bytea,                   -- encrypted to the request's key
  answered_at     timestamptz
);

-- The files of a release, for hosts that do not have it.
create table release_package (
  release          text primary key,
  manifest_sha256  text not null,
  signature        text
);
create table release_file (
  release   text not null references release_package on delete cascade,
  path      text not null,
  contents  bytea not null,
  primary key (release, path)
);
-- Which releases the supervisor of a host has found installed there.
create table host_release (
  host     text not null,
  release  text not null,
  primary key (host, release)
);
-- Files are compressed already, or small.
alter table release_file alter column contents set storage external;

-- The first SRP credential of a process on such a host is requested like a renewal; the answer says which routers to dial.
alter table srp_renewal add column routers jsonb;

create trigger change_noticed after insert or update or delete on host_invitation for each statement execute function notify_change();

select audit_attach('host', '{insert,update,delete}', '{}', 'array[r.name]', '{name,joined_at,administers,draining_since}');
select audit_attach('host_invitation', '{insert,delete}', '{}', 'array[r.host]',
  '{id,host,database_url,administers,invited_by,invited_at,expires_at}');
