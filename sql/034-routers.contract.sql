-- No administration service of 1.3 is left, which took the addresses of routers from this setting. Nobody writes it again: what
-- reads the table would not notice.

delete from setting where key = 'routers';
alter table setting add constraint setting_without_routers check (key <> 'routers');
