-- The first group of an activation password is a public selector: a guess without it causes no digest and uses no try. Null
-- for passwords of 1.1, which have none. 1.1 overwrites the digest of a row and leaves the selector alone: a selector is
-- valid only with the digest that it was written with.
alter table activation_password add column selector text, add column selector_digest bytea;
