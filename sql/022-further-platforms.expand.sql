-- A device's platform is whatever the code knows under its name. Every row of before has such a name, and what release 1.2 writes
-- is one; a further platform is not activated before the feature `further-platforms` is active. Not validated: that would read
-- every device while nobody can write one, and the check before said more.
alter table device
  drop constraint device_platform_check,
  add constraint device_platform_name check (platform ~ '^[a-z][a-z0-9-]{0,31}$') not valid;
