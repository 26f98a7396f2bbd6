-- What was recorded may be removed once it is old: of the audit only what a cut covers, which is kept and signed
-- (docs/adr/0044-retention-and-cuts.md), of events what is older than a week. Everything else stays forbidden, to every role.

-- A cut of the audit's chain: records and seals up to `number` are removed, or about to be. The chain goes on from `chain`.
create table audit_cut (
  number          bigint primary key,
  chain           bytea not null,                -- the head at `number`
  after           bigint not null,               -- where the chain began before: the cut takes the records after this one
  last_at         timestamptz(3) not null,       -- when the last of them was sealed
  at              timestamptz(3) not null,
  by              text not null,                 -- an administrator, or the component that carries out the retention
  export_sha256   text,                          -- of the export that was made first
  public_key_pem  text not null,                 -- of the home whose service made the cut
  signature       text not null                  -- Ed25519, in base64 (src/access/audit/cut.ts)
);
create trigger append_only before update or delete or truncate on audit_cut
  for each statement execute function audit_append_only();

-- Row by row, so that what is not covered by a cut cannot go with what is. Both look up by unique indexes.
create function audit_record_cut() returns trigger language plpgsql as $$
begin
  if old.at > now() - interval '30 days' or not exists (
       select from audit_seal s where s.record_id = old.id and s.number <= (select max(c.number) from audit_cut c)) then
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end if;
  return old;
end $$;
-- Behind its record, which would be sealed again otherwise, and never the last one, from which the chain goes on.
create function audit_seal_cut() returns trigger language plpgsql as $$
begin
  if old.sealed_at > now() - interval '30 days' or not exists (select from audit_cut c where c.number >= old.number)
     or not exists (select from audit_seal s where s.number > old.number)
     or exists (select from audit_record r where r.id = old.record_id) then
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end if;
  return old;
end $$;
create trigger cut_only before delete on audit_record for each row execute function audit_record_cut();
create trigger cut_only before delete on audit_seal for each row execute function audit_seal_cut();

-- The triggers of before 1.4 stay, and leave deletions of these two to the new ones.
create or replace function audit_append_only() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and tg_table_name in ('audit_record', 'audit_seal') then return null; end if;
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;

create function event_kept() returns trigger language plpgsql as $$
begin
  if old.at > now() - interval '7 days' then
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
  end if;
  return old;
end $$;
create trigger kept before delete on event for each row execute function event_kept();
