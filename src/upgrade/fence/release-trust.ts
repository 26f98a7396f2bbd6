/** Judges a release's signer on behalf of the domain, and what the domain stores of the result. */
import type { Queryable, Transaction } from '../../database/connection.ts';
import {
  keepReleaseSigner,
  keepUnsigned,
  lockReleaseSigner,
  readReleaseSigner,
  type StoredSigner,
} from '../../domain/release-signer.ts';
import { inGroups } from '../../release/signer-fingerprint.ts';
import {
  type Acceptance,
  type JudgedRelease,
  type Judgement,
  judgeSigner,
  type KnownSigner,
} from '../../release/signer-judgement.ts';

/**
 * Judges a release without storing anything: for previews, checks and queries.
 * @throws BrambleError ERR_RELEASE_SIGNER, ERR_INPUT for an acceptance that is none
 */
export async function judgeRelease(q: Queryable, release: JudgedRelease, accepted?: Acceptance): Promise<Judgement> {
  return judgeSigner(release, knownOf(await readReleaseSigner(q)), accepted);
}

/**
 * Judges it, and stores the first signer, its successor, and the findings accepted by name. @throws as `judgeRelease`
 */
export async function trustRelease(tx: Transaction, release: JudgedRelease, accepted?: Acceptance): Promise<Judgement> {
  const judgement = judgeSigner(release, knownOf(await lockReleaseSigner(tx)), accepted);
  const occasions = { first: 'first use', followed: 'named by the previous signer', accepted: 'accepted by name' };
  switch (judgement.kind) {
    case 'first':
    case 'followed':
    case 'accepted':
      await keepReleaseSigner(tx, {
        fingerprint: judgement.signer,
        occasion: `${occasions[judgement.kind]}, with release ${release.release}`,
        leaves: judgement.kind === 'accepted',
      });
      break;
    case 'accepted-unsigned':
      await keepUnsigned(tx, { release: release.release, manifest: inGroups(release.manifestSha256) });
      break;
    case 'known':
    case 'unsigned':
  }
  return judgement;
}

/** For the coordinator, after a release that knows no signatures has planned: the first signer is kept after all. */
export async function keepFirstSigner(tx: Transaction, { release, signature }: JudgedRelease): Promise<void> {
  if (signature === null) return;
  const { fingerprint, refused } = await lockReleaseSigner(tx);
  if (fingerprint !== null || refused.includes(signature.signer)) return;
  await keepReleaseSigner(tx, { fingerprint: signature.signer, occasion: `first use, with release ${release}` });
}

function knownOf({ fingerprint, unsigned, refused }: StoredSigner): KnownSigner {
  return { fingerprint, refused, unsigned: unsigned.map(({ manifest }) => manifest) };
}
