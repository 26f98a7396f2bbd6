/**
 * A new master key is offered to the hosts that joined, by an administration service (`host-master-keys.ts`).
 *
 * Invariant: once a key has sealed everything after a rotation, its offers stay: on a host where nothing runs nobody has fetched it yet.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { sealedFor } from './host-master-keys.ts';

/** Whether some host that joined has no offer of this key. */
export async function lacksOffer(q: Queryable, keyId: string): Promise<boolean> {
  return (await hostsWithout(q, keyId)).length > 0;
}

/** For each host that has none of this id yet. Returns how many. */
export async function offerMasterKey(
  tx: Transaction,
  offered: { readonly keyId: string; readonly key: Buffer },
  authorityKeyPem: string,
): Promise<number> {
  const hosts = await hostsWithout(tx, offered.keyId);
  for (const { name, publicKey } of hosts) {
    const envelope = JSON.stringify(signEnvelope(sealedFor(name, publicKey, offered), authorityKeyPem));
    await tx`
      insert into host_master_key (host, key_id, envelope) values (${name}, ${offered.keyId}, ${envelope})
      on conflict do nothing`;
  }
  return hosts.length;
}

async function hostsWithout(q: Queryable, keyId: string): Promise<{ name: string; publicKey: Buffer }[]> {
  return await q<{ name: string; publicKey: Buffer }[]>`
    select h.name, h.public_key as "publicKey" from host h
     where not exists (select from host_master_key k where k.host = h.name and k.key_id = ${keyId})`;
}

/** Offers of every key but `kept`. */
export async function withdrawMasterKeys(tx: Transaction, kept: string | null): Promise<void> {
  await tx`delete from host_master_key where key_id is distinct from ${kept}`;
}
