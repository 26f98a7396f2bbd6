-- Roles of one's own, and tokens with a role, groups and an end (docs/adr/0059-roles-and-limited-tokens.md). They stand apart from
-- administrator_token: release 1.4 takes whatever stands there for all-powerful, also after an upgrade was reversed.
create table custom_role (
  name       text primary key,                   -- never one of the predefined roles
  rights     text[] not null,                    -- one that a release does not know gives nothing there
  revision   bigint not null default 1,
  created_at timestamptz not null default now()
);

create table api_token (
  id         uuid primary key,
  name       text not null unique,
  digest     bytea not null unique,              -- SHA-256 of the token; the token itself is shown once
  role       text not null,                      -- predefined, or of custom_role; without such a role it may do nothing
  scoped     boolean not null,                   -- limited to the groups in api_token_group: where there is none, to nothing
  created_by text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);

create table api_token_group (
  token_id uuid not null references api_token on delete cascade,
  group_id uuid not null references account_group on delete cascade,
  primary key (token_id, group_id)
);
create index on api_token_group (group_id);      -- deleting a group

select audit_attach('custom_role', '{insert,update,delete}', '{}', 'array[r.name]', '{name,rights,created_at}');
select audit_attach('api_token', '{insert,update,delete}', '{}', 'array[r.name]',
  '{id,name,role,scoped,created_by,created_at,expires_at,revoked_at}');
select audit_attach('api_token_group', '{insert,update,delete}', '{}',
  'array[(select t.name from api_token t where t.id = r.token_id), (select g.name from account_group g where g.id = r.group_id)]',
  '{token_id,group_id}');
