-- No component of 1.1 is left, whose instances sign routes and revocations with the domain authority's key.

alter table authority alter column private_key drop not null, alter column key_id drop not null;
insert into domain_key (private_key, key_id) select private_key, key_id from authority where name = 'domain';
update authority set private_key = null, key_id = null where name = 'domain';
alter table authority add constraint authority_domain_key_apart check (name <> 'domain' or private_key is null);
