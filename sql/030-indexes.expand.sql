-- Identities by when they end: those that end soon are counted whenever somebody looks at the domain.
create index concurrently if not exists device_identity_end on device (identity_expires_at) where state = 'active';
-- Open moves by where they go: those to the new instances are stopped at every look while an upgrade is reversed.
create index concurrently if not exists account_move_to on account_move (to_instance_id)
  where state not in ('closed', 'rolled-back', 'cancelled');
-- Identities by when they were issued: during a rollover of the device authority those from before it are looked for at every turn.
create index concurrently if not exists device_identity_issued on device (coalesce(identity_issued_at, '-infinity'::timestamptz))
  where state = 'active';
