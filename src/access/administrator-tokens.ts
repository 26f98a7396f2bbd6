/**
 * Legacy tokens, which have every right and no end. Invariant: the database holds digests only, and one valid token always
 * remains.
 */
import { createHash, randomBytes } from 'node:crypto';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

/** `bramble_` and 43 characters: 256 random bits. */
export function generateToken(): string {
  return `bramble_${randomBytes(32).toString('base64url')}`;
}

/** SHA-256: a token has 256 random bits, so nothing slower is needed. */
export function tokenDigest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Creates a token and returns it, this once. Names are never reused, not even those of revoked tokens. */
export async function createToken(q: Queryable, name: string, token = generateToken()): Promise<string | 'name-taken'> {
  const { count } = await q`
    insert into administrator_token (id, name, digest) values (${newId<string>()}, ${name}, ${tokenDigest(token)})
    on conflict (name) do nothing`;
  return count === 1 ? token : 'name-taken';
}

interface AdministratorToken {
  name: string;
  createdAt: Date;
  revokedAt: Date | null;
}

export async function listTokens(q: Queryable): Promise<AdministratorToken[]> {
  return await q<AdministratorToken[]>`
    select name, created_at as "createdAt", revoked_at as "revokedAt" from administrator_token order by name`;
}

/**
 * Locks the table's rows in a fixed order, so that two concurrent revocations of the last two tokens do not both
 * succeed.
 */
export async function revokeToken(tx: Transaction, name: string): Promise<'revoked' | 'not-found' | 'last'> {
  const valid = await tx<{ name: string }[]>`
    select name from administrator_token where revoked_at is null order by name for update`;
  if (!valid.some((token) => token.name === name)) return 'not-found';
  if (valid.length === 1) return 'last';
  await tx`update administrator_token set revoked_at = now() where name = ${name}`;
  return 'revoked';
}
