-- The domain authority's key leaves the instances and connection services: they now request what they signed themselves.

-- The list of revoked SRP credentials as routers receive it, signed by the administration. Instances push it unchanged.
create table revocation_list (
  singleton boolean primary key default true check (singleton),
  number    bigint not null,                     -- the list's own; never falls
  payload   text not null,                       -- base64, the bytes that are signed
  signature text not null,                       -- base64, the domain authority's
  signed_at timestamptz not null default now()
);

-- A holder asks for the successor of its SRP credential, and an administration service answers with the certificate.
-- One open request for each identifier; a later one takes its place.
create table srp_renewal (
  identifier   text primary key check (identifier ~ '^[SC][0-9]{8}$'),
  payload      text not null check (length(payload) <= 4096),    -- base64: identifier, present serial, new public key
  signature    text not null check (length(signature) <= 1024),  -- base64, by the key of the present credential
  requested_at timestamptz not null default now(),
  answered_at  timestamptz,
  certificate  bytea,                            -- DER; null where it was refused
  refusal      text
);

-- The domain authority's key, once nobody is left who reads it from `authority`: in a table of its own, so that the roles of
-- instances and connection services have no right to it.
create table domain_key (
  singleton   boolean primary key default true check (singleton),
  private_key bytea not null,                    -- as in authority
  key_id      text not null
);
select audit_attach('domain_key', '{insert,update,delete}', '{}', 'array[''domain authority'']', '{key_id}');
