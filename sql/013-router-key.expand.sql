-- The key that a router proves on its links (SHA-256 of its public key, hex): only that router's reports change the row.
-- Null for other kinds, and for routers registered by an instance of 1.1, until an instance that binds registers them. 1.1
-- overwrites only the columns that it knows.
alter table component add column router_key text;
