-- People who administer the domain, how they sign in, and their sessions (docs/adr/0062-administrators-sign-in.md). 1.4 knows none of this: for it
-- there are tokens only, which stay what they are.

create table administrator (
  id            uuid primary key,
  name          text not null,
  display_name  text not null default '',
  role          text not null,                    -- predefined, or one of the domain's own
  scoped        boolean not null default false,   -- limited to its groups: none of them means nothing, never everything
  password      text,                             -- PHC string of argon2id; null until one was chosen
  password_at   timestamptz,
  totp          bytea,                            -- the shared secret, sealed
  totp_key      text,                             -- the master key that has sealed it
  totp_at       timestamptz,                      -- since when it is asked for; null until a first code has proved it
  totp_counter  bigint not null default 0,        -- the last step that a code was accepted for: none is accepted twice
  state         text not null default 'active' check (state in ('active', 'disabled')),
  revision      bigint not null default 1,
  created_at    timestamptz not null default now(),
  created_by    text not null,
  disabled_at   timestamptz,
  check ((totp is null) = (totp_key is null)),
  check (totp_at is null or totp is not null)
);
-- Names that differ by case alone would be taken for one another.
create unique index administrator_name on administrator (lower(name));

create table administrator_group (
  administrator_id  uuid not null references administrator on delete cascade,
  group_id          uuid not null references account_group on delete cascade,
  primary key (administrator_id, group_id)
);
create index administrator_group_group on administrator_group (group_id);

create table administrator_session (
  id                uuid primary key,
  digest            bytea not null unique,            -- SHA-256 of what the cookie holds
  administrator_id  uuid not null references administrator on delete cascade,
  method            text not null,
  second_factor     boolean not null default false,   -- whether one was shown beside the first
  address           text not null,
  client            text not null,
  created_at        timestamptz not null default now(),
  proven_at         timestamptz not null default now(),  -- when it was last shown who is there
  seen_at           timestamptz not null default now(),  -- written at most once a minute
  expires_at        timestamptz not null,
  ended_at          timestamptz
) with (fillfactor = 80);
create index administrator_session_administrator on administrator_session (administrator_id);

-- Secrets that are good for one use: whoever marks one as used is the one who used it.
create table sign_in_code (
  digest            bytea primary key,
  purpose           text not null check (purpose in ('first', 'invitation', 'recovery')),
  administrator_id  uuid references administrator on delete cascade,
  created_at        timestamptz not null default now(),
  created_by        text not null,
  expires_at        timestamptz not null,             -- infinity for recovery codes
  used_at           timestamptz,
  check ((purpose = 'first') = (administrator_id is null))
);
create index sign_in_code_administrator on sign_in_code (administrator_id);
-- A newer one takes the place of one that was not used.
create unique index sign_in_code_first on sign_in_code (purpose) where purpose = 'first' and used_at is null;
create unique index sign_in_code_invitation on sign_in_code (administrator_id)
  where purpose = 'invitation' and used_at is null;

-- A sign-in that takes more than one step, bound to the browser that began it.
create table sign_in_challenge (
  id                uuid primary key,
  kind              text not null,
  administrator_id  uuid references administrator on delete cascade,
  browser           bytea not null,                   -- SHA-256 of a cookie
  data              jsonb not null default '{}',
  tries             integer not null default 0,
  expires_at        timestamptz not null
);
create unique index sign_in_challenge_browser on sign_in_challenge (browser);
create index sign_in_challenge_expiry on sign_in_challenge (expires_at);
create index sign_in_challenge_administrator on sign_in_challenge (administrator_id);

-- Failures of late, so that passwords cannot be guessed. A name is a digest here: people type passwords into that field.
create table sign_in_try (
  subject   bytea not null,
  source    text not null,                            -- a network, a known browser, or '*' for all that is unknown
  since     timestamptz not null default now(),
  failures  integer not null,
  last_at   timestamptz not null default now(),
  primary key (subject, source)
);

-- Browsers that have signed in before: strangers who guess cannot lock these out.
create table administrator_browser (
  digest            bytea primary key,                -- SHA-256 of a cookie
  administrator_id  uuid not null references administrator on delete cascade,
  used_at           timestamptz not null default now()
);
create index administrator_browser_administrator on administrator_browser (administrator_id);

select audit_attach('administrator',
  '{insert,"update of name, display_name, role, scoped, password, totp_at, state",delete}', '{}', 'array[r.name]',
  '{id,name,display_name,role,scoped,password_at,totp_at,state,created_at,created_by,disabled_at}');
select audit_attach('administrator_group', '{insert,update,delete}', '{}',
  'array[(select a.name from administrator a where a.id = r.administrator_id), (select g.name from account_group g where g.id = r.group_id)]',
  '{administrator_id,group_id}');
select audit_attach('administrator_session', '{}', '{insert,update,delete}',
  'array[(select a.name from administrator a where a.id = r.administrator_id)]',
  '{id,method,address,client,created_at,proven_at,expires_at,ended_at}');
select audit_attach('sign_in_code', '{insert}', '{update,delete}',
  'array[(select a.name from administrator a where a.id = r.administrator_id)]',
  '{purpose,created_at,created_by,expires_at,used_at}');
