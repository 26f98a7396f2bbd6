/** Passkeys as sign-in sees them. */
import type { Queryable } from '../../database/connection.ts';

interface FoundPasskey {
  id: string;
  administratorId: string;
  /** Of the administrator. */
  name: string;
  publicKey: Buffer;
  algorithm: number;
  signCount: number;
}

export async function findPasskey(q: Queryable, credential: Buffer, rpId: string): Promise<FoundPasskey | undefined> {
  const [row] = await q<FoundPasskey[]>`
    select p.id, p.administrator_id as "administratorId", a.name, p.public_key as "publicKey", p.algorithm,
           p.sign_count::float8 as "signCount"
      from administrator_passkey p join administrator a on a.id = p.administrator_id
     where p.credential = ${credential} and p.rp_id = ${rpId} and a.state = 'active'`;
  return row;
}

/**
 * A counter that does not rise is no reason to refuse: synchronized passkeys have none, and an authenticator may be restored.
 * @returns whether the passkey and its administrator are still there
 */
export async function notePasskeyUse(q: Queryable, id: string, signCount: number): Promise<boolean> {
  const { count } = await q`
    update administrator_passkey p set used_at = now(), sign_count = ${signCount} from administrator a
     where p.id = ${id} and a.id = p.administrator_id and a.state = 'active'`;
  return count === 1;
}
