-- The audit: what administrators, operators and the coordinator change, written in the change's own transaction by triggers,
-- so that no program can forget it, and a release that knows nothing of it leaves its traces too.
--
-- A transaction that is being recorded says so (`set local bramble.audit = 'on'`) and ends with a row of kind 'operation'
-- that names who did what. What it changed stands beside it in rows of kind 'change', with the same transaction and the same
-- time (a dump that is restored elsewhere brings the numbers of other transactions). A change by anybody else to what only
-- administrators write (a release without audit, or a hand in the database) is of kind 'unrecorded'.

create table audit_record (
  transaction xid8 not null default pg_current_xact_id(),        -- before the id: it exists when the id is drawn
  id          bigint generated always as identity primary key,
  at          timestamptz not null default now(),
  kind        text not null check (kind in ('operation', 'change', 'unrecorded', 'marker')),
  actor       text,                              -- name of the token, or of the component that did it by itself
  operation   text not null,                     -- 'PUT /it-policies/:name', 'update it_policy'
  subjects    text[] not null default '{}',      -- names, or ids where there are none, of what it was done to
  request_id  text,
  detail      jsonb not null default '{}'        -- where from; before and after, secrets hidden
);
create index audit_record_transaction on audit_record (transaction);
create index audit_record_subjects on audit_record using gin (subjects);

-- The chain over committed records, written by one sealer at a time in order of (transaction, id). It has no reference to
-- the record: what is missing is for verification to find.
create table audit_seal (
  number    bigint primary key,                  -- 1, 2, 3 … without a gap
  record_id bigint not null unique,
  content   bytea not null,                      -- SHA-256 of the record's text (src/audit/record-text.ts)
  chain     bytea not null,                      -- SHA-256 of the chain before, number and content
  sealed_at timestamptz not null default now()
);

create function audit_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete or truncate on audit_record
  for each statement execute function audit_append_only();
create trigger append_only before update or delete or truncate on audit_seal
  for each statement execute function audit_append_only();

-- A value as it may be shown. What looks like a secret by its name or by its form is hidden, whatever it belongs to; long
-- texts are cut. Switches are no secrets, and numbers only where the name ends in a word for one (a PIN, not a minimum length).
create function audit_shown(name text, value jsonb) returns jsonb language plpgsql immutable as $$
declare
  is_pin    constant boolean := name ~ '^pin|_pin|Pin|PIN';
  is_secret constant boolean := is_pin or name ~*
    'pass|secret|token|credential|private|key|pem|challenge|salt|digest|otp|magic|cookie|bearer|authorization|cipher';
  plain text;
begin
  case jsonb_typeof(value)
    when 'object' then
      return (select coalesce(jsonb_object_agg(m.key, audit_shown(case when is_secret then name else m.key end, m.value)), '{}')
                from jsonb_each(value) m);
    when 'array' then
      return (select coalesce(jsonb_agg(audit_shown(name, e.value) order by e.ordinality), '[]')
                from jsonb_array_elements(value) with ordinality e);
    when 'number' then
      return case when is_pin or name ~* '(otp|pass|password|passcode|secret|token|key)$' then '"[hidden]"' else value end;
    when 'string' then
      plain := value #>> '{}';
      if is_secret or plain ~ '-----BEGIN |^eyJ|^[A-Za-z0-9+/=_-]{40,}$' then return '"[hidden]"'; end if;
      plain := regexp_replace(plain, '://[^/@ ]*@', '://[hidden]@', 'g');
      plain := regexp_replace(plain, '[A-Za-z0-9_-]{40,}', '[hidden]', 'g');
      if length(plain) > 500 then plain := left(plain, 500) || '… (' || length(plain) || ' characters)'; end if;
      return to_jsonb(plain);
    else
      return value;
  end case;
end $$;

-- A row with the columns that are listed; every other is hidden, also one that a later release adds.
create function audit_image(image jsonb, columns text[]) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(c.key, case
           when jsonb_typeof(c.value) = 'null' then c.value
           when c.key = any(columns) then audit_shown('', c.value)
           else '"[hidden]"' end), '{}')
    from jsonb_each(image) c
$$;

-- The members of `one` that `other` has not, or has otherwise.
create function audit_without(one jsonb, other jsonb) returns jsonb language sql immutable as $$
  select case when jsonb_typeof(one) = 'object' and jsonb_typeof(other) = 'object'
    then (select coalesce(jsonb_object_agg(m.key, m.value), '{}') from jsonb_each(one) m
           where m.value is distinct from other -> m.key)
    else one end
$$;

-- What differs between two states of a row: {column: [before, after]}, of objects only the members that differ.
create function audit_difference(before jsonb, after jsonb, columns text[]) returns jsonb language sql immutable as $$
  select coalesce(jsonb_object_agg(c.key, jsonb_build_array(
           audit_image(jsonb_build_object(c.key, audit_without(before -> c.key, c.value)), columns) -> c.key,
           audit_image(jsonb_build_object(c.key, audit_without(c.value, before -> c.key)), columns) -> c.key)), '{}')
    from jsonb_each(after) c
   where c.value is distinct from before -> c.key
$$;

create function audit_is_on() returns boolean language sql stable as $$
  select coalesce(current_setting('bramble.audit', true), '') = 'on'
$$;

create function audit_note(table_name text, operation text, subjects text[], detail jsonb) returns void language sql as $$
  insert into audit_record (kind, operation, subjects, detail)
  select case when audit_is_on() then 'change' else 'unrecorded' end, lower(operation) || ' ' || table_name,
         coalesce(subjects, '{}'),
         case when audit_is_on() then detail
              else detail || jsonb_build_object('application', current_setting('application_name'), 'role', session_user) end
$$;

-- For single rows. Arguments: the subjects, an SQL expression over the row r, and the columns that are shown.
create function audit_row() returns trigger language plpgsql security definer as $$
declare
  columns  constant text[] := tg_argv[1];
  subjects text[];
  changed  jsonb;
begin
  if tg_op = 'UPDATE' then
    changed := audit_difference(to_jsonb(old), to_jsonb(new), columns);
    if changed = '{}' then return null; end if;
  else
    changed := audit_image(to_jsonb(case tg_op when 'DELETE' then old else new end), columns);
  end if;
  execute format('select array_remove(%s, null) from (select ($1).*) r', tg_argv[0]) into subjects
    using case tg_op when 'DELETE' then old else new end;
  perform audit_note(tg_table_name, tg_op, subjects, jsonb_build_object('changes', jsonb_build_array(changed)));
  return null;
end $$;

-- For whole statements, so that an import of thousands is not thousands of records: up to 50 rows are shown; of more there
-- are the number, the subjects, and a digest over the listed columns, one line of JSON for each row, lines in order.
create function audit_rows() returns trigger language plpgsql security definer as $$
declare
  columns  constant text[] := tg_argv[1];
  source   constant text := case tg_op when 'INSERT' then 'new_rows' else 'old_rows' end;
  number   bigint;
  subjects text[];
  detail   jsonb;
begin
  execute 'select count(*) from ' || source into number;
  if number = 0 then return null; end if;
  execute format('select array_agg(distinct s.name) from %s r cross join unnest(%s) s(name) where s.name is not null',
                 source, tg_argv[0]) into subjects;
  if number <= 50 then
    execute format('select jsonb_build_object(''changes'', jsonb_agg(audit_image(to_jsonb(r), $1))) from %s r', source)
       into detail using columns;
  else
    execute format($query$
      select jsonb_build_object('rows', $2, 'sha256', encode(sha256(convert_to(
               string_agg(l.line, e'\n' order by l.line collate "C"), 'utf8')), 'hex'))
        from (select (select jsonb_object_agg(c.key, c.value) from jsonb_each(to_jsonb(r)) c where c.key = any($1))::text as line
                from %s r) l $query$, source)
       into detail using columns, number;
  end if;
  perform audit_note(tg_table_name, tg_op, subjects, detail);
  return null;
end $$;

-- Definers' functions find their tables in this schema only, whatever path their caller has set.
do $$
begin
  execute format('alter function audit_row() set search_path = %I, pg_temp', current_schema());
  execute format('alter function audit_rows() set search_path = %I, pg_temp', current_schema());
end $$;

-- Has a table audited. `always`: what only administrators write, recorded also when nobody said who. `recorded`: what
-- components write too, and only counts within a recorded transaction; the condition costs their own writes next to nothing.
-- `{account}` in `subjects` is the name of the row's account, or its id once the account is gone.
create function audit_attach(target regclass, always text[], recorded text[], subjects text, columns text[])
  returns void language plpgsql as $$
declare
  event text;
begin
  foreach event in array always || recorded loop
    execute format('create trigger audit_%s after %s on %s %s for each %s %s execute function %s(%L, %L)',
      split_part(event, ' ', 1), event, target,
      case when event = any(recorded) or event like 'update%' then ''
           when event = 'insert' then 'referencing new table as new_rows' else 'referencing old table as old_rows' end,
      case when event = any(recorded) or event like 'update%' then 'row' else 'statement' end,
      case when event = any(recorded) then 'when (audit_is_on())' else '' end,
      case when event = any(recorded) or event like 'update%' then 'audit_row' else 'audit_rows' end,
      replace(subjects, '{account}', 'coalesce((select a.name from account a where a.id = r.account_id), r.account_id::text)'), columns);
  end loop;
end $$;

select audit_attach('domain', '{insert,"update of name, public_url, tunnel_host, push_topic, release, feature_level",delete}', '{}',
  'array[r.name]', '{domain_id,name,public_url,tunnel_host,push_topic,release,schema_version,feature_level}');
select audit_attach('component_range', '{insert,update,delete}', '{}', 'array[r.kind]', '{kind,least_release}');
select audit_attach('setting', '{insert,"update of value",delete}', '{}', 'array[r.key]', '{key,value}');
select audit_attach('authority', '{insert,update,delete}', '{}', 'array[r.name]', '{name,created_at}');
select audit_attach('desired_process', '{insert,"update of kind, host, release, state, settings",delete}', '{}', 'array[r.name]',
  '{name,kind,host,release,state,settings}');
select audit_attach('administrator_token', '{insert,update,delete}', '{}', 'array[r.name]', '{id,name,created_at,revoked_at}');
select audit_attach('instance', '{insert,update,delete}', '{}', 'array[r.name]', '{id,name,srp_identifier,created_at,retired_at}');
select audit_attach('connection_service', '{insert,update,delete}', '{}', 'array[r.name]', '{id,name,srp_identifier,allowed_hosts,created_at}');
select audit_attach('connection_service_instance', '{insert,update,delete}', '{}',
  'array[(select c.name from connection_service c where c.id = r.connection_service_id), (select i.name from instance i where i.id = r.instance_id)]',
  '{connection_service_id,instance_id}');
select audit_attach('srp_clearance', '{insert,delete}', '{}', 'array[r.identifier]', '{identifier,list_number,at}');
select audit_attach('account_group', '{insert,update,delete}', '{}', 'array[r.name]', '{id,name,rank}');
select audit_attach('group_member', '{insert,update,delete}', '{}',
  'array[{account}, (select g.name from account_group g where g.id = r.group_id)]',
  '{group_id,account_id}');
select audit_attach('it_policy', '{insert,"update of name, rules",delete}', '{}', 'array[r.name]', '{id,name,preconfigured,rules,changed_at}');
select audit_attach('account_policy', '{insert,update,delete}', '{}',
  'array[{account}, (select p.name from it_policy p where p.id = r.policy_id)]',
  '{account_id,policy_id}');
select audit_attach('group_policy', '{insert,update,delete}', '{}',
  'array[coalesce((select g.name from account_group g where g.id = r.group_id), r.group_id::text), (select p.name from it_policy p where p.id = r.policy_id)]',
  '{group_id,policy_id}');
select audit_attach('service', '{insert,update,delete}', '{}', 'array[r.type]', '{type,settings}');
select audit_attach('upgrade', '{insert,"update of state, paused_from, pause_reason, plan",delete}', '{}', 'array[r.to_release]',
  '{id,from_release,to_release,state,paused_from,pause_reason}');
select audit_attach('upgrade_wave', '{insert,"update of state",delete}', '{}', 'array[r.name]', '{upgrade_id,number,name,state}');
select audit_attach('upgrade_assignment', '{insert,update,delete}', '{}',
  'array[{account}]',
  '{upgrade_id,account_id,wave_number,from_instance_id,to_instance_id}');
select audit_attach('move_batch', '{insert,delete}', '{update}', 'array[r.id::text]', '{id,purpose,upgrade_id,wave_number,state,pause_reason,created_by,created_at}');
-- Carried out by a runner, and then told by account_epoch: the order is what counts here.
select audit_attach('account_move', '{insert}', '{}',
  'array[{account}]',
  '{id,batch_id,account_id,from_instance_id,to_instance_id,state,attempts,queued_at,out_of_reach}');
select audit_attach('activation_password', '{}', '{insert,update,delete}',
  'array[{account}]',
  '{account_id,expires_at,tries_left,created_at}');
select audit_attach('srp_credential', '{}', '{insert,update,delete}', 'array[r.identifier]',
  '{serial,identifier,issued_at,expires_at,revoked_at,list_number}');
select audit_attach('component', '{}', '{delete}', 'array[r.name]', '{name,kind,host,release,started_at,stopped_at}');
-- The moves of an account are not changes of it.
select audit_attach('account', '{insert,"update of name, display_name",delete}', '{}', 'array[r.name]',
  '{id,name,display_name,instance_id,epoch,created_at}');
select audit_attach('device_user', '{}', '{insert,update,delete}', 'array[r.device_id::text]', '{device_id,user_id,user_name}');
select audit_attach('command', '{}', '{insert,update}', 'array[r.id::text, r.device_id::text]',
  '{id,sequence,device_id,account_id,delivery_id,budgeted,urgent,request_type,state,queued_at,sent_count,sent_at}');
select audit_attach('device', '{}', '{insert,update,delete}',
  'array[r.id::text, (select a.name from account a where a.id = r.account_id)]',
  '{id,account_id,platform,state,udid,enrollment_id,serial_number,model,product,os_version,software_version,options,created_at,suspended_at,suspended_by,removing_since,removal_command_id,tls_days,tls_required_at}');

-- An upgrade that found this migration missing was not recorded so far, nor anything before it.
insert into audit_record (kind, operation, detail)
select 'marker', 'audit begins', jsonb_build_object('release', release) from domain;
