-- No component of 1.2 is left, which would take a further platform's devices for those of its own. Validated first, which keeps
-- nobody from writing.

alter table device validate constraint device_platform_name;
alter table device drop constraint device_platform_check;
