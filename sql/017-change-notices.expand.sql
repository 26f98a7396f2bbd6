-- Who looks at a table now and then is told when it was written, by whichever release (src/database/change-notices.ts). Once
-- for each statement; a transaction tells the same only once, when it is committed.
create function notify_change() returns trigger language plpgsql as $$
begin
  perform pg_notify('bramble_change', tg_table_name);
  return null;
end $$;

create trigger change_noticed after insert or update or delete on setting for each statement execute function notify_change();
create trigger change_noticed after insert or update or delete on revocation_list for each statement execute function notify_change();
create trigger change_noticed after insert or update or delete on srp_renewal for each statement execute function notify_change();
create trigger change_noticed after insert or update or delete on srp_clearance for each statement execute function notify_change();
create trigger change_noticed after insert or update or delete on srp_credential for each statement execute function notify_change();
create trigger change_noticed after insert on audit_record for each statement execute function notify_change();
