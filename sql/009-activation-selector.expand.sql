-- The first group of an activation password is public: who does not know it has nothing digested and uses no try.
-- Null for passwords of 1.1, which have none. 1.1 writes a new digest over a row and leaves the selector as it is: a
-- selector counts only with the digest that it was written with.
alter table activation_password add column selector text, add column selector_digest bytea;
