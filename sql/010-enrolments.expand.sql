-- Enrolments that are suspended, asked to leave, or held to TLS. Release 1.1 neither reads nor writes any of it: to it a
-- suspended enrolment is one that was authenticated and never became active.

alter table device
  add column authenticated_at   timestamptz,     -- the newest Authenticate; null where 1.1 took it
  add column suspended_at       timestamptz,     -- counts only in state 'authenticated': another device named the same UDID
  add column suspended_by       uuid,            -- that one's enrolment, also after this one returned
  add column returned_at        timestamptz,     -- its key answered in spite of that one
  add column removing_since     timestamptz,     -- told to leave; once 'gone', it is told so again whenever it comes
  add column removal_command_id uuid,
  add column tls_days           smallint not null default 0,   -- days on which it showed its identity in TLS to a router
  add column tls_day            date,            -- the newest of them, UTC
  add column tls_required_at    timestamptz;     -- from then on an Mdm-Signature alone does not do

-- Signed messages that arrived without TLS identity and can therefore be replayed by anyone who captured them: the newest
-- of each enrolment, and how many repeated.
create table device_repeat (
  device_id   uuid primary key references device on delete cascade,
  digests     bytea[] not null default '{}',     -- newest last, at most 16
  repeats     bigint not null default 0,
  repeated_at timestamptz
);

-- Suspended enrolments whose certificate opened a tunnel: all that a connection service may record of a device. The
-- account's instance reinstates them.
create table device_heard (
  device_id uuid primary key references device on delete cascade,
  heard_at  timestamptz not null
);
