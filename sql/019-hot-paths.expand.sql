-- Statements of the hot paths read what is open, never the past and never all of a table, whatever the planner knows of the
-- rows. Release 1.1 keeps its statements, and these indexes only. Indexes that other migrations of 1.2 want on tables of 1.1 are
-- here too: in their transactions nobody could write, or even read, while they are built.

-- Of a move, what its devices have not answered.
create index concurrently if not exists delivery_open_move on delivery (move_id)
  where move_id is not null and state in ('owed', 'released', 'handed-out', 'suspect');
-- What is owed, in the order in which it is released.
create index concurrently if not exists delivery_owed_budgeted on delivery (owed_at) where state = 'owed' and budgeted;
create index concurrently if not exists delivery_owed_unbudgeted on delivery (owed_at) where state = 'owed' and not budgeted;
-- Devices that may come at any moment.
create index concurrently if not exists delivery_released on delivery (released_at) where state = 'released' and budgeted;
-- Those that are owed nothing yet, or any more: few.
create index concurrently if not exists device_inactive on device (id) where state <> 'active';

-- Moves of a batch that are still to be made, in their order; those that deliver; and those of them that are waited for.
create index concurrently if not exists account_move_queued on account_move (batch_id, queued_at, id)
  where state in ('queued', 'reserved', 'fenced');
create index concurrently if not exists account_move_delivering on account_move (batch_id, id) where state = 'delivering';
create index concurrently if not exists account_move_awaited on account_move (id) where state = 'delivering' and not out_of_reach;
-- An account's moves; also for deleting it.
create index concurrently if not exists account_move_account on account_move (account_id, committed_at);
create index concurrently if not exists move_batch_running on move_batch (created_at) where state = 'running';

-- Enrolments by the device that they name, those that are suspended or asked to leave, and those that may be newcomers (010).
create index concurrently if not exists device_named on device (lower(coalesce(udid, enrollment_id))) where state in ('authenticated', 'active');
create index concurrently if not exists device_authenticated on device (authenticated_at) where authenticated_at is not null;
create index concurrently if not exists device_suspended on device (suspended_at) where suspended_at is not null and state = 'authenticated';
create index concurrently if not exists device_removing on device (removing_since) where removing_since is not null and state = 'active';

-- Identities by when they are to be renewed, and the deliveries that renew them (016).
create index concurrently if not exists device_renewal_due
  on device (identity_renewal_due(id, identity_issued_at, identity_expires_at)) where state = 'active';
create index concurrently if not exists delivery_identity on delivery (owed_at) where item = 'device-identity';
