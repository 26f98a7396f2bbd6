-- The domain authority is replaced while components trust both (docs/adr/0053-rollover-of-what-components-trust.md). Nothing is written
-- here before the upgrade to 1.4 is finalized: 1.3 knows one authority.

-- The key of the domain authority that does not issue, during a rollover: its successor until it issues, the former one from then on.
-- Its certificate is in `authority`, as 'domain-other'.
create table domain_key_other (
  singleton   boolean primary key default true check (singleton),
  private_key bytea not null,                    -- as in authority
  key_id      text not null,
  is_next     boolean not null                   -- has not issued yet
);

-- What the domain says of its authorities, each signed by one that was trusted before (src/link/trusted-authorities.ts). Kept for whoever
-- was away.
create table authority_statement (
  number     bigint primary key,
  payload    text not null,                      -- base64, the bytes that are signed
  signature  text not null,                      -- base64
  made_at    timestamptz not null default now()
);
create trigger change_noticed after insert or update or delete on authority_statement for each statement execute function notify_change();

select audit_attach('domain_key_other', '{insert,update,delete}', '{}', 'array[''domain authority'']', '{key_id,is_next}');
