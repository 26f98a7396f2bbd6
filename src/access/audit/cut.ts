/**
 * A cut of the audit's chain: up to which record it was removed, and from which head it goes on. It is signed by the key
 * of the home whose service made it, and kept in three places: `audit_cut`, a record of the chain that goes on, and the
 * home's file of heads.
 *
 * Invariant: what a cut says of the chain cannot be forged, because the chain after it leads to heads that are kept
 * outside only from the true head; its signature says that it was made by a service and not by a hand in the database.
 */
import { createPublicKey, verify } from 'node:crypto';
import * as z from 'zod';
import type { Queryable } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';
import type { HeadFile } from './head-file.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);

export const cutShape = z.object({
  /** The last record that was removed. */
  number: z.number().int().positive(),
  /** The chain's head at that record. */
  chain: digest,
  /** The chain began after this one: what was removed are the records in between. */
  after: z.number().int().min(0),
  /** When the last of them was sealed. Both times as ISO 8601 with milliseconds. */
  lastAt: z.string(),
  at: z.string(),
  by: z.string(),
  /** Of the export that was made first. */
  exportSha256: digest.nullable(),
  publicKeyPem: z.string(),
  signature: z.base64(),
});
export type Cut = z.output<typeof cutShape>;
type CutFacts = Omit<Cut, 'publicKeyPem' | 'signature'>;

export function signedCut(file: HeadFile, facts: CutFacts): Cut {
  const { publicKeyPem } = file;
  return { ...facts, publicKeyPem, signature: file.signText(cutText(facts)) };
}

/** By the key that it names. */
export function isCutSigned(cut: Cut): boolean {
  try {
    const key = createPublicKey(cut.publicKeyPem);
    return verify(null, Buffer.from(cutText(cut)), key, Buffer.from(cut.signature, 'base64'));
  } catch {
    return false;
  }
}

function cutText({ number, chain, after, lastAt, at, by, exportSha256 }: CutFacts): string {
  return ['bramble audit cut', after, number, chain, lastAt, at, exportSha256 ?? '-', by].join('\n');
}

/** The last one; none where the schema does not have them yet. */
export async function latestCut(q: Queryable): Promise<Cut | undefined> {
  if (!(await hasTable(q, 'audit_cut'))) return undefined;
  const [row] = await q<Cut[]>`
    select number::float8 as number, encode(chain, 'hex') as chain, after::float8 as after,
           to_char(last_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "lastAt",
           to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, by, export_sha256 as "exportSha256",
           public_key_pem as "publicKeyPem", signature
      from audit_cut order by audit_cut.number desc limit 1`;
  return row;
}
