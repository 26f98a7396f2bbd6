-- A device's platform is whatever the code knows under its name. Beside the check on the platforms of release 1.2, which goes when
-- the upgrade is finalized. Not validated: that would read every device while nobody can write one, and the check before says more.
alter table device add constraint device_platform_name check (platform ~ '^[a-z][a-z0-9-]{0,31}$') not valid;
