-- Lists are walked along an index for each of their sorts, and searched by prefixes. Texts that devices tell are cut, since one that is
-- long would not fit into an index, and compared by bytes, whatever the collation of the database is. None has what changes when a
-- device connects: an index on that would end the updates that touch no index.

create index concurrently if not exists account_instance_name on account (instance_id, name);
create index concurrently if not exists account_created on account (created_at, id);
create index concurrently if not exists account_name_prefix on account (lower(name collate "C"), id);
create index concurrently if not exists account_display_name on account (lower(left(display_name, 200) collate "C"), id);
create index concurrently if not exists device_created on device (created_at, id);
create index concurrently if not exists device_platform on device (platform, id);
create index concurrently if not exists device_serial_number on device (lower(left(coalesce(serial_number, ''), 100) collate "C"), id);
create index concurrently if not exists device_udid on device (lower(left(coalesce(udid, ''), 100) collate "C"), id);
create index concurrently if not exists device_model on device (lower(left(coalesce(model, ''), 100) collate "C"), id);
create index concurrently if not exists device_software
  on device (lower(left(coalesce(software_version, os_version, ''), 100) collate "C"), id);
-- By the last word, which is a family name more often than not.
create index concurrently if not exists account_last_word
  on account (lower(left(substring(display_name from '[^ ]*$'), 200) collate "C"), id);
