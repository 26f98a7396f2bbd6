-- What administrators change has a revision, so that nobody overwrites what he has not seen (docs/adr/0057-rest-forms.md). The numbers are
-- those of one sequence: none comes twice, whatever is deleted and made again meanwhile. What is there already has 1.
create sequence revision start 2;

-- As the owner: roles of the release before have no right to the sequence.
create function raise_revision() returns trigger language plpgsql security definer as $$
begin
  new.revision := nextval('revision');
  return new;
end $$;

-- Which instances a connection service serves stands in rows of their own.
create function raise_service_revision() returns trigger language plpgsql security definer as $$
begin
  update connection_service set revision = nextval('revision')
   where id = case tg_op when 'DELETE' then old.connection_service_id else new.connection_service_id end;
  return null;
end $$;
do $$
begin
  execute format('alter function raise_revision() set search_path = %I, pg_temp', current_schema());
  execute format('alter function raise_service_revision() set search_path = %I, pg_temp', current_schema());
end $$;
revoke execute on function raise_revision(), raise_service_revision() from public;

-- A constant default: no row is written.
alter table account_group add column revision bigint not null default 1;
alter table it_policy add column revision bigint not null default 1;
alter table service add column revision bigint not null default 1;
alter table notice_target add column revision bigint not null default 1;
alter table notice_mail_server add column revision bigint not null default 1;
alter table connection_service add column revision bigint not null default 1;
alter table setting add column revision bigint not null default 1;

create trigger revised before insert or update of name, rank on account_group for each row execute function raise_revision();
create trigger revised before insert or update of name, rules on it_policy for each row execute function raise_revision();
create trigger revised before insert or update of settings on service for each row execute function raise_revision();
-- Deliveries of notices are no changes of their target.
create trigger revised before insert or update of kinds, sealed on notice_target for each row execute function raise_revision();
create trigger revised before insert or update on notice_mail_server for each row execute function raise_revision();
create trigger revised before insert or update of name, allowed_hosts on connection_service for each row execute function raise_revision();
create trigger revised after insert or delete on connection_service_instance for each row execute function raise_service_revision();
create trigger revised before insert or update of value on setting for each row execute function raise_revision();

-- As before, without the revision: it says nothing that the other columns do not.
create or replace function audit_image(image jsonb, columns text[]) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(c.key, case
           when jsonb_typeof(c.value) = 'null' then c.value
           when c.key = any(columns) then audit_shown('', c.value)
           else '"[hidden]"' end), '{}')
    from jsonb_each(image) c
   where c.key <> 'revision'
$$;
create or replace function audit_difference(before jsonb, after jsonb, columns text[]) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(c.key, jsonb_build_array(
           audit_image(jsonb_build_object(c.key, audit_without(before -> c.key, c.value)), columns) -> c.key,
           audit_image(jsonb_build_object(c.key, audit_without(c.value, before -> c.key)), columns) -> c.key)), '{}')
    from jsonb_each(after) c
   where c.key <> 'revision' and c.value is distinct from before -> c.key
$$;
