/**
 * The signer of releases that the domain trusts: a setting that releases before 1.2 do not look at. Kept at first use,
 * when a signer names its successor, or by hand; every change is audited like any other setting. A signer that an
 * operator switched away from is refused from then on, even as a successor in a rotation statement: otherwise the old
 * statement would lead back to it.
 */
import { z } from 'zod';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { readSetting, writeSetting } from './settings.ts';

const settingKey = 'release-signer';
/** Maximum number of unsigned releases accepted by name; the oldest are dropped. */
const maxUnsignedKept = 16;
/** The same for refused signers. */
const maxRefusedKept = 64;

export const releaseSignerSetting = z.object({
  fingerprint: z.string().nullable().default(null),
  /** When, and on what occasion, it was kept; or forgotten. */
  since: z.iso.datetime().nullable().default(null),
  occasion: z.string().nullable().default(null),
  unsigned: z.array(z.object({ release: z.string(), manifest: z.string() })).default([]),
  /** Fingerprints that are accepted only when an operator names them. */
  refused: z.array(z.string()).default([]),
});
export type StoredSigner = z.output<typeof releaseSignerSetting>;

export async function readReleaseSigner(q: Queryable): Promise<StoredSigner> {
  return await readSetting(q, settingKey, releaseSignerSetting);
}

/** The same for a transaction that may change it: concurrent ones wait, so that only one sees no signer yet. */
export async function lockReleaseSigner(tx: Transaction): Promise<StoredSigner> {
  await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.releaseSigner})`;
  return await readReleaseSigner(tx);
}

export interface NextSigner {
  /** null forgets it: the next signer is trusted on first use again. */
  fingerprint: string | null;
  occasion: string;
  /** Set by an operator: the previously trusted one is refused from now on. Default false. */
  leaves?: boolean;
  /** Further signers to refuse. */
  refuse?: readonly string[];
}

export async function keepReleaseSigner(tx: Transaction, next: NextSigner): Promise<StoredSigner> {
  const { fingerprint, occasion, leaves = false, refuse = [] } = next;
  const stored = await lockReleaseSigner(tx);
  const left = leaves && stored.fingerprint !== null ? [stored.fingerprint] : [];
  const refused = [...new Set([...stored.refused, ...refuse, ...left])].filter((signer) => signer !== fingerprint);
  const kept = {
    ...{ fingerprint, since: new Date().toISOString(), occasion, unsigned: stored.unsigned },
    refused: refused.slice(-maxRefusedKept),
  };
  await writeSetting(tx, settingKey, kept);
  return kept;
}

/** Records that an unsigned release was accepted by name. @param manifest SHA-256 in groups */
export async function keepUnsigned(tx: Transaction, taken: { release: string; manifest: string }): Promise<void> {
  const stored = await lockReleaseSigner(tx);
  if (stored.unsigned.some(({ manifest }) => manifest === taken.manifest)) return;
  await writeSetting(tx, settingKey, { ...stored, unsigned: [...stored.unsigned, taken].slice(-maxUnsignedKept) });
}
