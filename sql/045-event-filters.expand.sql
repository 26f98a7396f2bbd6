-- The list of events is walked by time, of one kind, or of one subject. Of a subject the beginning will do, which always fits into an
-- index: who is refused may call himself what he likes.
create index concurrently if not exists event_at on event (at, id);
create index concurrently if not exists event_kind on event (kind, at, id);
create index concurrently if not exists event_subject on event (left(subject, 200), at, id);
