-- Device identities renew themselves before they expire. Release 1.1 neither reads nor writes any of it; what makes it begin
-- is a feature, and the deliveries that carry it pass their table's checks once those are widened, when it is finalized.

-- Null where 1.1 issued the identity, which made it valid for 365 days.
alter table device add column identity_issued_at timestamptz;

-- How an enrolment's identity is being renewed, and which one it had before.
create table device_renewal (
  device_id            uuid primary key references device on delete cascade,
  delivery_id          uuid,                     -- the newest try; null when none was made for the present identity
  challenge            text,                     -- stands in the profile that this delivery carries
  attempts             integer not null default 0,
  -- Issued and not used yet. The first request that proves it makes it the device's, and ends the one before.
  issued_for           uuid,                     -- the delivery whose challenge it was issued for; null: asked for with the present identity
  scep_transaction     text,
  identity_key         bytea,
  identity_certificate bytea,
  identity_fingerprint text unique,
  identity_issued_at   timestamptz,
  identity_expires_at  timestamptz,
  -- The one that ended with the last renewal.
  former_fingerprint   text,
  renewed_at           timestamptz
);
create index device_renewal_former on device_renewal (former_fingerprint) where former_fingerprint is not null;
select audit_attach('device_renewal', '{}', '{insert,update,delete}', 'array[r.device_id::text]',
  '{device_id,delivery_id,attempts,identity_expires_at,renewed_at}');

-- From when on an identity is to be renewed, in seconds since the epoch: between a third and a quarter of its lifetime before
-- its end, at a place that is each device's own (its id is random), so that a fleet that enrolled in one week does not renew in
-- one. A single expression of immutable steps, so that it is inlined wherever it stands; and no digest, which not every
-- PostgreSQL has. Its index, and that of its deliveries, are built beside live traffic (019).
create function identity_renewal_due(device_id uuid, issued_at timestamptz, expires_at timestamptz) returns double precision
  language sql immutable parallel safe as $$
  select date_part('epoch', expires_at - timestamptz '1970-01-01 00:00:00+00')
         - coalesce(date_part('epoch', expires_at - issued_at), 365 * 86400)
           * (1.0::float8 / 3 - ('x' || left(device_id::text, 8))::bit(32)::bigint / 4294967296.0::float8 / 12)
$$;
