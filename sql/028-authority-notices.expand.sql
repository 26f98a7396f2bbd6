-- Instances sign routes by the route signer that there is now, so they are told when it was replaced
-- (docs/adr/0053-rollover-of-what-components-trust.md). Release 1.3 reads it when an instance starts.
create trigger change_noticed after insert or update or delete on authority for each statement execute function notify_change();
