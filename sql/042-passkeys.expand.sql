-- Passkeys of administrators (docs/adr/0066-passkeys.md).
create table administrator_passkey (
  id                uuid primary key,
  credential        bytea not null unique,          -- the authenticator's id of it
  administrator_id  uuid not null references administrator on delete cascade,
  public_key        bytea not null,                 -- SubjectPublicKeyInfo
  algorithm         integer not null,               -- of COSE
  sign_count        bigint not null,                -- 0 for those that are synchronized
  transports        text[] not null,
  rp_id             text not null,                  -- the name that it belongs to
  name              text not null,
  created_at        timestamptz not null default now(),
  used_at           timestamptz
);
create index administrator_passkey_administrator on administrator_passkey (administrator_id);

select audit_attach('administrator_passkey', '{insert,delete}', '{update}',
  'array[(select a.name from administrator a where a.id = r.administrator_id), r.name]',
  '{id,administrator_id,algorithm,rp_id,name,created_at}');
