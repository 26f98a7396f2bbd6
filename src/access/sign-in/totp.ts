/**
 * Codes of an authenticator (RFC 6238: SHA-1, six digits, 30 seconds, which every such program knows). Invariant: no step's code
 * is accepted twice, nor one of a step before (RFC 6238, 5.2); the secret is in the database sealed only.
 */
import { Secret, TOTP } from 'otpauth';
import type { Queryable } from '../../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../../database/sealed-value.ts';
import { totpPlace } from './sealed-totp.ts';

const secretBytes = 20;
const periodSeconds = 30;
/** Steps that clocks may differ by, either way. */
const window = 1;

interface NewTotp {
  /** To type where nothing can be scanned. */
  secret: string;
  /** For a QR code. */
  uri: string;
}

const totpOf = (secret: Secret, names: { issuer?: string; label?: string } = {}) =>
  new TOTP({ ...names, secret, algorithm: 'SHA1', digits: 6, period: periodSeconds });

/** Not asked for until a first code has proved it. @returns null where one is asked for already */
export async function beginTotp(
  q: Queryable,
  keys: MasterKeys,
  { id, name, domain }: { id: string; name: string; domain: string },
): Promise<NewTotp | null> {
  const secret = new Secret({ size: secretBytes });
  const { ciphertext, keyId } = sealValue(keys, totpPlace({ id }), secret.bytes);
  const { count } = await q`
    update administrator set totp = ${ciphertext}, totp_key = ${keyId}, totp_counter = 0
     where id = ${id} and totp_at is null`;
  if (count === 0) return null;
  return { secret: secret.base32, uri: totpOf(secret, { issuer: `Bramble ${domain}`, label: name }).toString() };
}

/** Whether the code is right, and takes its step. Of two at once with the same code one is refused. */
export async function takeTotp(
  q: Queryable,
  keys: MasterKeys,
  id: string,
  code: string,
  now = Date.now(),
): Promise<boolean> {
  const [row] = await q<{ totp: Buffer; totpKey: string }[]>`
    select totp, totp_key as "totpKey" from administrator where id = ${id} and totp is not null`;
  if (row === undefined) return false;
  const totp = totpOf(new Secret({ buffer: bytesOf(openValue(keys, totpPlace({ id }), row.totp, row.totpKey)) }));
  const delta = totp.validate({ token: code.replace(/\s/g, ''), timestamp: now, window });
  if (delta === null) return false;
  const step = Math.floor(now / 1000 / periodSeconds) + delta;
  const { count } = await q`
    update administrator set totp_counter = ${step} where id = ${id} and totp = ${row.totp} and totp_counter < ${step}`;
  return count === 1;
}

export async function askTotp(q: Queryable, id: string): Promise<void> {
  await q`update administrator set totp_at = now(), revision = revision + 1 where id = ${id} and totp_at is null`;
}

export async function removeTotp(q: Queryable, id: string): Promise<void> {
  await q`
    update administrator set totp = null, totp_key = null, totp_at = null, totp_counter = 0, revision = revision + 1
     where id = ${id}`;
}

function bytesOf(buffer: Buffer): ArrayBuffer {
  return new Uint8Array(buffer).buffer;
}
