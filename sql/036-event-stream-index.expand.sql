-- The order of the stream of events; those without a transaction are none of it.
create index concurrently if not exists event_stream_place on event (transaction, id) where transaction is not null;
