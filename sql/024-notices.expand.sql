-- Somebody is told: where to, what is still to be sent, and which conditions hold (ADR 0043).
-- Release 1.3 knows nothing of it; what it writes into `event` is told as well.

create table notice_target (
  id             uuid primary key,
  name           text not null unique,
  channel        text not null,                    -- 'webhook', 'mail'
  addresses      text[] not null,                  -- as shown: of a webhook's URL only what is no secret
  kinds          text[],                           -- of notices; null for all
  sealed         bytea,                            -- of a webhook: its URL and key
  key_id         text,
  created_at     timestamptz not null default now(),
  -- Written by who delivers. One delivery at a time; the claim of one that died runs out.
  claim          uuid,
  claimed_until  timestamptz,
  failures       integer not null default 0,       -- since the last success
  retry_at       timestamptz,
  last_error     text,
  last_error_at  timestamptz,
  last_sent_at   timestamptz,
  dropped        bigint not null default 0         -- notices given up, because they were too old or too many
);

-- What is still to be sent, a row for each target. No reference to the target: a writer of events waits for nobody.
create table notice (
  number     bigint generated always as identity primary key,
  id         uuid not null default gen_random_uuid(),
  target_id  uuid not null,
  at         timestamptz not null,
  kind       text not null,                        -- of the event
  subject    text,
  message    text not null,
  attempts   integer not null default 0
);
create index notice_of_target on notice (target_id, attempts, number);

-- Conditions that hold. One is told when it has been seen often enough, again at `again_at`, and when it is over.
create table notice_condition (
  kind      text not null,
  scope     text not null,                         -- whose look finds it: '' for the domain, a host for its own
  subject   text not null,
  message   text not null,
  since     timestamptz not null default now(),
  seen_at   timestamptz not null default now(),
  told_at   timestamptz,
  again_at  timestamptz,
  primary key (kind, scope, subject)
);

-- Mail goes to one server, which passes it on; a single row.
create table notice_mail_server (
  singleton   boolean primary key default true check (singleton),
  host        text not null,
  port        integer not null,
  security    text not null,                       -- 'tls', 'starttls', 'none'
  sender      text not null,
  username    text,
  password    bytea,                               -- sealed, for this host and user name
  key_id      text,
  ca_pem      text,
  updated_at  timestamptz not null default now()
);

-- The kind of notice that an event is told as; null for one that is not told (noticeKinds in src/api/notices.ts).
create function notice_kind(event_kind text) returns text language sql immutable parallel safe as $$
  select case event_kind
    when 'upgrade-paused'      then 'upgrade-paused'
    when 'upgrade-unfinalized' then 'upgrade-unfinalized'
    when 'fence-blocked'       then 'fence-blocked'
    when 'fence-passed'        then 'fence-blocked'
    when 'host-lost'           then 'host-lost'
    when 'host-back'           then 'host-lost'
    when 'clock-wrong'         then 'clock-wrong'
    when 'clock-right'         then 'clock-wrong'
    when 'certificate-ending'  then 'certificate-ending'
    when 'certificate-renewed' then 'certificate-ending'
    when 'backup-failed'       then 'backup-failed'
    when 'backup-overdue'      then 'backup-overdue'
    when 'backup-caught-up'    then 'backup-overdue'
  end
$$;

-- In the writer's transaction, as the owner: whoever may write an event needs no right on notices. Whatever goes wrong here, the
-- event is written. Delivery keeps the thousand newest for each target; where nobody delivers, ten thousand are the end.
create function owe_notices() returns trigger language plpgsql security definer set lock_timeout = '500ms' as $$
begin
  insert into notice (target_id, at, kind, subject, message)
  select t.id, new.at, new.kind, left(new.subject, 300), left(new.message, 2000)
    from notice_target t
   where (t.kinds is null or notice_kind(new.kind) = any(t.kinds))
     and not exists (select from notice n where n.target_id = t.id offset 9999);
  return null;
exception when others then
  raise log 'an event of kind % is not told: %', new.kind, sqlerrm;
  return null;
end $$;
do $$
begin
  execute format('alter function owe_notices() set search_path = %I, pg_temp', current_schema());
end $$;

create trigger notices_owed after insert on event for each row when (notice_kind(new.kind) is not null)
  execute function owe_notices();
create trigger change_noticed after insert on notice for each statement execute function notify_change();

select audit_attach('notice_target', '{insert,"update of name, channel, addresses, kinds, sealed",delete}', '{}', 'array[r.name]',
  '{id,name,channel,addresses,kinds,created_at}');
select audit_attach('notice_mail_server', '{insert,update,delete}', '{}', 'array[r.host]',
  '{host,port,security,sender,username,updated_at}');
