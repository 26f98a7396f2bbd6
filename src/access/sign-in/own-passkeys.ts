/** One's own passkeys, as stored. Each belongs to the host name under which it was made. */
import { newId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';

interface PasskeyRow {
  id: string;
  name: string;
  host: string;
  createdAt: Date;
  usedAt: Date | null;
  credential: Buffer;
  transports: string[];
}

const columns = (q: Queryable) => q`
  id, name, rp_id as host, created_at as "createdAt", used_at as "usedAt", credential, transports`;

/** The latest first. */
export async function listPasskeys(q: Queryable, administratorId: string): Promise<PasskeyRow[]> {
  return await q<PasskeyRow[]>`
    select ${columns(q)} from administrator_passkey
     where administrator_id = ${administratorId} order by created_at desc, id`;
}

interface NewPasskey {
  credential: Buffer;
  administratorId: string;
  publicKey: Buffer;
  algorithm: number;
  signCount: number;
  transports: readonly string[];
  rpId: string;
  name: string;
}

/** Undefined where the authenticator made the same one for somebody before. */
export async function insertPasskey(q: Queryable, made: NewPasskey): Promise<PasskeyRow | undefined> {
  const [row] = await q<PasskeyRow[]>`
    insert into administrator_passkey (id, credential, administrator_id, public_key, algorithm, sign_count, transports,
                                       rp_id, name)
    values (${newId<string>()}, ${made.credential}, ${made.administratorId}, ${made.publicKey}, ${made.algorithm},
            ${made.signCount}, ${[...made.transports]}, ${made.rpId}, ${made.name})
    on conflict (credential) do nothing returning ${columns(q)}`;
  return row;
}

export async function removePasskey(q: Queryable, id: string, administratorId: string): Promise<boolean> {
  const { count } = await q`
    delete from administrator_passkey where id = ${id} and administrator_id = ${administratorId}`;
  return count === 1;
}
