-- A new master key on its way to the hosts that joined (docs/adr/0045-master-key-rotation.md): encrypted to the host's own key and
-- signed by the domain authority. That of the key that seals stays for hosts where nothing runs so
-- far; others go once a rotation has settled. Release 1.3 knows nothing of it.
create table host_master_key (
  host      text not null references host on delete cascade,
  key_id    text not null,
  envelope  text not null,                       -- JSON (src/hosts/host-master-keys.ts)
  primary key (host, key_id)
);
