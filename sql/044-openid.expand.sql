-- OpenID providers at which administrators sign in, and who of them is who (docs/adr/0067-openid.md). 1.4 knows none of this.
create table openid_provider (
  name        text primary key,
  title       text not null,                    -- what the sign-in page calls it
  issuer      text not null,                    -- never changes: a subject is known by its issuer alone
  client_id   text not null,
  secret      bytea,                            -- of the client, sealed for this issuer; null for a client without
  key_id      text,                             -- the master key that has sealed it
  scopes      text[] not null,
  name_claim  text not null,                    -- which claim names a new administrator
  claim       text not null,                    -- which claim the rules look at
  rules       jsonb not null,                   -- who gets which role and groups, the first that fits; nobody gets anything without
  ca_pem      text,                             -- trusted instead of the system's
  factor      boolean not null default false,   -- asks everybody for a second factor, also where its answers do not say so
  enabled     boolean not null default true,
  revision    bigint not null default 1,
  created_at  timestamptz not null default now(),
  created_by  text not null,
  check ((secret is null) = (key_id is null))
);
create trigger revised before insert or update of title, client_id, secret, scopes, name_claim, claim, rules, ca_pem, factor,
  enabled on openid_provider for each row execute function raise_revision();

-- An administrator who signs in at a provider, and nowhere else.
create table administrator_identity (
  provider          text not null references openid_provider on delete cascade,
  subject           text not null,
  administrator_id  uuid not null unique references administrator on delete cascade,
  created_at        timestamptz not null default now(),
  primary key (provider, subject)
);

select audit_attach('openid_provider', '{insert,update,delete}', '{}', 'array[r.name]',
  '{name,title,issuer,client_id,scopes,name_claim,claim,rules,factor,enabled,created_at,created_by}');
select audit_attach('administrator_identity', '{insert,delete}', '{}',
  'array[(select a.name from administrator a where a.id = r.administrator_id), r.provider]',
  '{provider,subject,administrator_id,created_at}');
