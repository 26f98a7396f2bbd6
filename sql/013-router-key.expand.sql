-- Which key a router proves itself with on its links (SHA-256 of its public key, hex): only who has it changes the row.
-- Null for other kinds, and for what an instance of 1.1 registered, until an instance that binds hears of the router. 1.1
-- writes its own columns over a row and leaves this one as it is.
alter table component add column router_key text;
