/** Codes for who has lost his authenticator: ten, each good once, 120 random bits, stored as digests. */
import { randomInt } from 'node:crypto';
import type { Transaction } from '../../database/connection.ts';
import { recoveryDigest } from './second-factor.ts';

const howMany = 10;
const groups = 6;
const groupLength = 4;
/** 32 characters, 5 bits each, none of which is easily taken for another. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz234567890';

/** New ones, in the place of those before. */
export async function makeRecoveryCodes(tx: Transaction, id: string, by: string): Promise<string[]> {
  await removeRecoveryCodes(tx, id);
  const codes = Array.from({ length: howMany }, newCode);
  await tx`
    insert into sign_in_code (digest, purpose, administrator_id, created_by, expires_at)
    select decode(digest, 'hex'), 'recovery', ${id}::uuid, ${by}::text, timestamptz 'infinity'
      from unnest(${codes.map((code) => recoveryDigest(code).toString('hex'))}::text[]) digest`;
  return codes;
}

export async function removeRecoveryCodes(tx: Transaction, id: string): Promise<void> {
  await tx`delete from sign_in_code where administrator_id = ${id} and purpose = 'recovery'`;
}

function newCode(): string {
  const group = () => Array.from({ length: groupLength }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  return Array.from({ length: groups }, group).join('-');
}
