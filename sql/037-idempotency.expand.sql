-- What requests with an idempotency key have done, so that the same request sent again changes nothing and is answered the same
-- (docs/adr/0057-rest-forms.md). A row is written in the transaction of the change that it tells of.
create table idempotency_key (
  actor      text not null,                      -- kind and id of who asked: a key is his alone
  key        text not null,
  step       integer not null,                   -- of the transactions of one request: 1, 2, …
  operation  text not null,
  release    text not null,                      -- whose program reads the answer
  answer     bytea,                              -- sealed: a digest of what was asked, then what is answered
  key_id     text,
  created_at timestamptz not null default now(),
  primary key (actor, key, step)
);
create index idempotency_key_created on idempotency_key (created_at);
