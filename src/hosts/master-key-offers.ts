/** A new master key is offered to the hosts that joined, by an administration service (`host-master-keys.ts`). */
import type { Transaction } from '../database/connection.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { sealedFor } from './host-master-keys.ts';

/** For each host that has none of this id yet. Returns how many. */
export async function offerMasterKey(
  tx: Transaction,
  offered: { readonly keyId: string; readonly key: Buffer },
  authorityKeyPem: string,
): Promise<number> {
  const hosts = await tx<{ name: string; publicKey: Buffer }[]>`
    select h.name, h.public_key as "publicKey" from host h
     where not exists (select from host_master_key k where k.host = h.name and k.key_id = ${offered.keyId})`;
  for (const { name, publicKey } of hosts) {
    const envelope = JSON.stringify(signEnvelope(sealedFor(name, publicKey, offered), authorityKeyPem));
    await tx`
      insert into host_master_key (host, key_id, envelope) values (${name}, ${offered.keyId}, ${envelope})
      on conflict do nothing`;
  }
  return hosts.length;
}

export async function withdrawMasterKeys(tx: Transaction): Promise<void> {
  await tx`delete from host_master_key`;
}
