-- Identities by when they end: those that end soon are counted whenever somebody looks at the domain.
create index concurrently if not exists device_identity_end on device (identity_expires_at) where state = 'active';
