-- No component of 1.0 is left: the relation stands alone, and a connection service may serve several instances.

drop trigger connection_service_relation_written on connection_service_instance;
drop trigger connection_service_column_inserted on connection_service;
drop trigger connection_service_column_updated on connection_service;
drop function connection_service_relation_written();
drop function connection_service_column_written();
alter table connection_service drop column instance_id;
