/**
 * Whether a domain accepts a release, judged by its signer: trust at first use, then the same signer or its named
 * successor. Anything else is accepted only when an operator names it: a signer by its fingerprint, an unsigned release
 * by its number. This includes a signer that an operator switched away from, whatever statements lead to it or through
 * it.
 */
import { BrambleError } from '../base/errors.ts';
import { chainOf, type ReleaseSignature, type Rotation } from './signature.ts';
import { inGroups, typedFingerprint } from './signer-fingerprint.ts';

/** What a domain remembers. */
export interface KnownSigner {
  fingerprint: string | null;
  /** Manifests (SHA-256 in groups) of unsigned releases that an operator accepted. */
  unsigned: readonly string[];
  /** Fingerprints of signers that an operator switched away from. */
  refused: readonly string[];
}

export const noSigner: KnownSigner = { fingerprint: null, unsigned: [], refused: [] };

/** What an operator accepted by name. */
export interface Acceptance {
  signer?: string | undefined;
  /** Number of a release. */
  unsigned?: string | undefined;
}

/** A release as it was read: `manifestSha256` in hex. */
export interface JudgedRelease {
  release: string;
  manifestSha256: string;
  signature: ReleaseSignature | null;
}

export type Judgement =
  | { kind: 'unsigned' | 'accepted-unsigned' }
  | { kind: 'first' | 'known' | 'accepted'; signer: string }
  | { kind: 'followed'; signer: string; chain: readonly string[] };

/** @throws BrambleError ERR_RELEASE_SIGNER; ERR_INPUT for an acceptance that names nothing or another release */
export function judgeSigner(given: JudgedRelease, known: KnownSigner, accepted: Acceptance = {}): Judgement {
  const { signer: named, unsigned } = readAcceptance(accepted, given.release);
  return given.signature === null
    ? judgeUnsigned(given, known, { named, unsigned })
    : judgeSigned(given.release, given.signature, known, named);
}

/**
 * The chain of signers from the known one to another, each naming the next; undefined if every chain leads through a
 * refused one.
 */
export function trustedChain(
  { fingerprint, refused }: Pick<KnownSigner, 'fingerprint' | 'refused'>,
  rotations: readonly Rotation[],
  to: string,
): string[] | undefined {
  if (fingerprint === null) return undefined;
  return chainOf(
    rotations.filter((rotation) => !refused.includes(rotation.to)),
    fingerprint,
    to,
  );
}

/** One sentence for people, without the full stop. */
export function judgementText(judgement: Judgement): string {
  switch (judgement.kind) {
    case 'unsigned':
      return 'not signed, and no signer is known, so its origin is not proven';
    case 'accepted-unsigned':
      return 'not signed, and accepted by name: its origin is not proven';
    case 'first':
      return `signed by ${judgement.signer}, the first signer seen`;
    case 'known':
      return `signed by ${judgement.signer}, as before`;
    case 'accepted':
      return `signed by ${judgement.signer}, accepted by name`;
    case 'followed':
      return `signed by ${judgement.chain.toReversed().join(', the successor of ')}`;
  }
}

function readAcceptance(
  { signer, unsigned }: Acceptance,
  release: string,
): { named?: string; signer?: string; unsigned: boolean } {
  const named = signer === undefined ? undefined : typedFingerprint(signer);
  if (signer !== undefined && named === undefined) {
    throw new BrambleError(
      'ERR_INPUT',
      'Accept a signer by its fingerprint: 64 hexadecimal digits, with or without colons.',
      { details: { field: 'body.acceptSigner' } },
    );
  }
  if (unsigned !== undefined && unsigned !== release) {
    throw new BrambleError(
      'ERR_INPUT',
      `The release ${JSON.stringify(unsigned)} is to be accepted unsigned, but this is ${release}.`,
      {
        details: { field: 'body.acceptUnsigned', release },
      },
    );
  }
  return { ...(named === undefined ? {} : { signer: named }), unsigned: unsigned !== undefined };
}

function judgeUnsigned(
  { release, manifestSha256 }: JudgedRelease,
  known: KnownSigner,
  accepted: { named: string | undefined; unsigned: boolean },
): Judgement {
  if (accepted.unsigned || known.unsigned.includes(inGroups(manifestSha256))) return { kind: 'accepted-unsigned' };
  const expected = accepted.named ?? known.fingerprint;
  if (expected === null) return { kind: 'unsigned' };
  throw refusal(
    `Release ${release} is not signed, but this domain has so far accepted releases of the signer ${expected} only. ` +
      'Get its signature (the archive’s name with .sig) and put it beside the archive, or accept it unsigned: ' +
      `--accept-unsigned ${release}.`,
    { release, signer: null, expected },
  );
}

function judgeSigned(
  release: string,
  { signer, rotations }: ReleaseSignature,
  known: KnownSigner,
  named: string | undefined,
): Judgement {
  if (named !== undefined && named !== signer) {
    throw refusal(
      `Release ${release} is signed by ${signer}, and ${named} was accepted. Compare both with what its publisher ` +
        'states.',
      {
        ...{ release, signer, expected: named },
      },
    );
  }
  if (known.fingerprint === signer) return { kind: 'known', signer };
  const chain = trustedChain(known, rotations, signer);
  if (chain !== undefined) return { kind: 'followed', signer, chain };
  if (named !== undefined) return { kind: 'accepted', signer };
  if (known.refused.includes(signer)) {
    throw refusal(
      `Release ${release} is signed by ${signer}, which an operator of this domain has rejected; ` +
        `a rotation that names it as successor changes nothing. To trust it again, accept it by name: --accept-signer ${signer}.`,
      { release, signer, expected: known.fingerprint },
    );
  }
  if (known.fingerprint === null) return { kind: 'first', signer };
  throw refusal(
    `Release ${release} is signed by ${signer}, but this domain has so far accepted releases of the signer ` +
      `${known.fingerprint} only, and that one has not named the other as its successor. If the publisher ` +
      `confirms the new fingerprint through another channel, accept it: --accept-signer ${signer}.`,
    { release, signer, expected: known.fingerprint },
  );
}

function refusal(message: string, details: Readonly<Record<string, unknown>>): BrambleError {
  return new BrambleError('ERR_RELEASE_SIGNER', message, { details });
}
