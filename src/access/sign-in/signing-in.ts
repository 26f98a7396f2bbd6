/** An administrator as sign-in sees him. */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';

export interface SigningIn {
  id: string;
  name: string;
  /** PHC string. */
  password: string | null;
  active: boolean;
  asksTotp: boolean;
}

export async function findSigningIn(q: Queryable, name: string): Promise<SigningIn | undefined> {
  const [row] = await q<SigningIn[]>`
    select id, name, password, state = 'active' as active, totp_at is not null as "asksTotp"
      from administrator where lower(name) = lower(${name})`;
  return row;
}

/**
 * Holds off whoever changes the password or disables him until the transaction ends, and then ends its session too.
 * @throws BrambleError ERR_SIGN_IN when either happened since the password was looked at
 */
export async function assertUnchanged(tx: Transaction, id: string, password: string): Promise<void> {
  const rows = await tx`
    select from administrator where id = ${id} and state = 'active' and password = ${password} for share`;
  if (rows.length === 0) throw new BrambleError('ERR_SIGN_IN', 'The name or the password is wrong.');
}

/** The same password, digested as it would be today. */
export async function refreshPassword(q: Queryable, id: string, before: string, password: string): Promise<void> {
  await q`update administrator set password = ${password} where id = ${id} and password = ${before}`;
}

/** What is shown to himself. */
interface OwnDetails {
  displayName: string;
  role: string;
  asksTotp: boolean;
  /** The OpenID provider at which alone he signs in. */
  provider: string | null;
}

export async function readOwnDetails(q: Queryable, id: string): Promise<OwnDetails | undefined> {
  const [row] = await q<OwnDetails[]>`
    select a.display_name as "displayName", a.role, a.totp_at is not null as "asksTotp",
           (select i.provider from administrator_identity i where i.administrator_id = a.id) as provider
      from administrator a where a.id = ${id}`;
  return row;
}
