-- What becomes of accounts' requests where their devices stand: routers count, and any instance writes it down for them. What
-- an instance says of itself (request_sample) is silent exactly while the instance is not there.

-- How the requests of one account that were to be served by one instance fared in [bucket, bucket + seconds). Only devices that
-- had proven their identity before count, each at most once in ten seconds. Measurements, not the account's data: no fence.
create table request_outcome (
  account_id  uuid not null references account on delete cascade,
  instance_id uuid not null,                     -- where the requests were sent, or would have been
  bucket      timestamptz not null,
  seconds     integer not null default 10,       -- 10, and after some hours 3600
  router      text not null,                     -- component.name; '' in a row of an hour
  requests    integer not null,
  failed      integer not null,                  -- answered 5xx, twice 421, or not at all
  latency     integer[] not null,                -- histogram of the others (src/base/latency-histogram.ts), short of zeros at its end
  primary key (account_id, bucket, instance_id, seconds, router)
);
create index request_outcome_bucket on request_outcome (seconds, bucket);

-- The last report of each run of a router that was counted. A run numbers its reports and sends none before the one ahead of it
-- was acknowledged, so that a report that comes again, perhaps at another instance, is told by its number.
create table outcome_report (
  router_key text not null,                      -- SHA-256 of the key that the router proved, hex
  run        uuid not null,
  sequence   bigint not null,
  counted_at timestamptz not null default now(),
  primary key (router_key, run)
);

create function histogram_add(one integer[], other integer[]) returns integer[] language sql immutable strict parallel safe as $$
  select coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) order by bin), '{}')
    from unnest(one, other) with ordinality as both_of(a, b, bin)
$$;
create aggregate histogram_sum(integer[]) (sfunc = histogram_add, stype = integer[], parallel = safe);

-- Ends of components that nobody asked for, and leases that ran out and were renewed after all.
create table component_interruption (
  id      bigint generated always as identity primary key,
  name    text not null,                         -- of the component; an instance's is the instance's
  kind    text not null,
  release text not null,
  at      timestamptz not null,
  cause   text not null check (cause in ('exit', 'lease', 'failure')),
  reason  text                                   -- of a failure, which the process itself tells
);
create index component_interruption_name on component_interruption (name, at);

-- By trigger, so that it also holds for processes of 1.1. An exit is seen when the next process of the name registers and the
-- one before had not said goodbye. Not for routers: others register them, and they say no goodbye.
create function component_interrupted() returns trigger language plpgsql security definer as $$
begin
  insert into component_interruption (name, kind, release, at, cause)
  values (old.name, old.kind, old.release, least(old.lease_until, clock_timestamp()),
          case when new.boot_id = old.boot_id and new.process_id = old.process_id then 'lease' else 'exit' end);
  return null;
end $$;
do $$ begin
  execute format('alter function component_interrupted() set search_path = %I, pg_temp', current_schema());
end $$;
create trigger component_interrupted after update on component
  for each row when (old.kind = new.kind and old.kind <> 'router' and old.release = new.release
                     and old.stopped_at is null and new.lease_until > old.lease_until
                     and (old.lease_until < clock_timestamp()
                          or old.boot_id <> new.boot_id or old.process_id <> new.process_id))
  execute function component_interrupted();
