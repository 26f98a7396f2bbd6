-- Where routers are dialled: a table that instances and connection services follow while they run, in place of the setting `routers`,
-- which release 1.3 copies into the credential files that it issues, and which stays until the upgrade is finalized. Until then
-- both name the same routers, since none can be added (the feature `further-routers`; docs/adr/0055-routers-on-further-hosts.md).
create table router (
  name         text primary key,
  host         text not null,
  link_host    text not null,                  -- where instances and connection services dial
  link_port    integer,                        -- if they reach it at another port than the router listens on
  server_name  text not null,                  -- that its certificate is for
  srp_port     integer,                        -- as its host has told; nobody dials it before
  public_port  integer,
  certificate_ends_at  timestamptz,            -- where the host of the router has asked for it
  removed_at   timestamptz                     -- from then on nobody dials it, and it is not registered any more
);

-- They are matched in their order. An address too many would be dialled no more, and nobody would notice.
do $$
declare
  addresses integer := (select jsonb_array_length(value -> 'addresses') from setting where key = 'routers');
  routers integer := (select count(*) from desired_process where kind = 'router');
begin
  if addresses > 0 and addresses <> routers then
    raise exception 'the domain has % routers, and % addresses in the setting "routers": which belongs to which is not known', routers, addresses
      using hint = 'Leave one address for each router there, in the order of their names, and go on with the upgrade.';
  end if;
end $$;

insert into router (name, host, link_host, srp_port, server_name)
select p.name, p.host, a.address ->> 'host', (a.address ->> 'port')::integer, a.address ->> 'serverName'
  from (select row_number() over (order by place) as number, address
          from setting, jsonb_array_elements(value -> 'addresses') with ordinality as listed (address, place)
         where key = 'routers') a
  join (select row_number() over (order by name) as number, name, host from desired_process where kind = 'router') p
 using (number);

-- The certificate of a router on a host that joined: asked for by its supervisor, signed with the host's key.
create table router_request (
  router        text primary key references router on delete cascade,
  payload       text not null check (length(payload) <= 8192),
  signature     text not null check (length(signature) <= 1024),
  requested_at  timestamptz not null default clock_timestamp(),
  answered_at   timestamptz,
  certificate   text,                          -- PEM
  refusal       text
);

create trigger change_noticed after insert or update or delete on router for each statement execute function notify_change();
create trigger change_noticed after insert or update on router_request for each statement execute function notify_change();

select audit_attach('router', '{insert,"update of host, link_host, link_port, removed_at",delete}', '{}',
  'array[r.name]', '{name,host,link_host,link_port,server_name,srp_port,public_port,removed_at}');
