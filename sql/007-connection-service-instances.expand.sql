-- A connection service serves several instances: a relation takes the place of the column connection_service.instance_id.
-- Release 1.0 goes on reading and writing the column, 1.1 reads and writes the relation alone; triggers keep both in step.
-- The column holds one instance, so until it is gone (008) a connection service serves one instance at most.

-- Tables and indexes share one space of names.
alter index connection_service_instance rename to connection_service_instance_id;

create table connection_service_instance (
  connection_service_id uuid not null references connection_service on delete cascade,
  instance_id           uuid not null references instance,
  primary key (connection_service_id, instance_id)
);
create index connection_service_instance_instance on connection_service_instance (instance_id);

-- Column to relation. One statement, so that the relation's trigger, which runs at its end, finds the new state and not one
-- in between; it then finds nothing to change, and neither does this one after it: that is what ends the round.
create function connection_service_column_written() returns trigger language plpgsql as $$
begin
  with given_up as (
    delete from connection_service_instance r
     where r.connection_service_id = new.id and r.instance_id is distinct from new.instance_id
  )
  insert into connection_service_instance (connection_service_id, instance_id)
  select new.id, new.instance_id where new.instance_id is not null
  on conflict do nothing;
  return null;
end $$;
create trigger connection_service_column_inserted after insert on connection_service
  for each row when (new.instance_id is not null) execute function connection_service_column_written();
create trigger connection_service_column_updated after update of instance_id on connection_service
  for each row when (new.instance_id is distinct from old.instance_id) execute function connection_service_column_written();

-- Relation to column. The service's row is locked before the relation is read, so that of two writers at once the second
-- sees what the first committed. A service that is being deleted takes its rows along and needs nothing.
create function connection_service_relation_written() returns trigger language plpgsql as $$
declare
  service_id uuid;
  served     uuid[];
begin
  foreach service_id in array array_remove(array[old.connection_service_id, new.connection_service_id], null) loop
    perform 1 from connection_service where id = service_id for no key update;
    continue when not found;
    served := array(select instance_id from connection_service_instance where connection_service_id = service_id);
    if cardinality(served) > 1 then
      raise exception 'a connection service serves one instance at most until the upgrade is finalized'
        using errcode = 'check_violation', constraint = 'connection_service_serves_one_instance',
              table = 'connection_service_instance',
              detail = format('%s would serve %s.', service_id, array_to_string(served, ', '));
    end if;
    update connection_service set instance_id = served[1]
     where id = service_id and instance_id is distinct from served[1];
  end loop;
  return null;
end $$;
create trigger connection_service_relation_written after insert or update or delete on connection_service_instance
  for each row execute function connection_service_relation_written();

-- backfill: services that were there before. A row is locked and read anew where 1.0 has just written it; one that its
-- trigger has related meanwhile is counted too, so that only a batch that found nothing left ends the repetition.
insert into connection_service_instance (connection_service_id, instance_id)
select c.id, c.instance_id
  from connection_service c
 where c.instance_id is not null
   and not exists (select 1 from connection_service_instance r where r.connection_service_id = c.id)
 order by c.id
 limit 100
   for no key update of c
    on conflict (connection_service_id, instance_id) do update set instance_id = excluded.instance_id
