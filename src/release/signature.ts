/**
 * The signature of a release, a text file beside its archive (docs/adr/0033-signed-releases.md):
 *
 *     bramble release signature 1
 *     release 1.2.0
 *     archive <SHA-256 of the archive, in hex>
 *     manifest <SHA-256 of manifest.json, in hex>
 *     key <Ed25519 public key, 32 octets in base64>
 *     signature <Ed25519 signature, 64 octets in base64>
 *
 * It may be followed by statements, each after an empty line, in which a signer names its successor:
 *
 *     bramble signer rotation 1
 *     key <the old public key>
 *     next <fingerprint of the new one>
 *     signature <made with the old key>
 *
 * The lines before `signature` are signed, line breaks included: the first line keeps one kind from being mistaken for
 * the other, or for a signature made for another purpose with the same key.
 *
 * Invariant: a text can be read in only one way. Anything that `format…` would not produce octet for octet is refused,
 * and so is a whole file if any statement in it is not signed as it claims. What begins like a statement of a later
 * release is refused too, but reported as such.
 */
import { type KeyObject, verify } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import { fingerprintOf, publicKeyFromText, publicKeyText } from './signer-fingerprint.ts';

export const signatureSuffix = '.sig';
export const maxSignatureBytes = 16 * 1024;
/** One for each year of yearly key changes. */
const maxRotations = 32;

/** The signed facts of a release. Digests are SHA-256 in hex; the manifest's covers the installed files. */
interface SignedFacts {
  release: string;
  archive: string;
  manifest: string;
}

/** `from` names `to` as its successor; both are fingerprints. */
export interface Rotation {
  from: string;
  to: string;
}

export interface ReleaseSignature extends SignedFacts {
  /** Fingerprint of the key that signed. */
  signer: string;
  rotations: readonly Rotation[];
  /** The file as it was read, which travels with the release. */
  text: string;
}

/** Signs with one key. */
export interface Signer {
  publicKey: KeyObject;
  sign(bytes: Buffer): Buffer;
}

const releaseBlock =
  /^bramble release signature 1\nrelease (\d{1,6}\.\d{1,6}\.\d{1,6})\narchive ([0-9a-f]{64})\nmanifest ([0-9a-f]{64})\nkey ([A-Za-z0-9+/]{43}=)\nsignature ([A-Za-z0-9+/]{86}==)\n$/;
const rotationBlock =
  /^bramble signer rotation 1\nkey ([A-Za-z0-9+/]{43}=)\nnext ((?:[0-9a-f]{8}:){7}[0-9a-f]{8})\nsignature ([A-Za-z0-9+/]{86}==)\n$/;

/** Of the statements above. */
const knownTitles = ['bramble release signature 1', 'bramble signer rotation 1'];
const anyTitle = /^bramble [a-z][a-z ]{0,60} [1-9]\d{0,5}(?=\n)/;

export function formatSignature({ release, archive, manifest }: SignedFacts, signer: Signer): string {
  return signed(
    `bramble release signature 1\nrelease ${release}\narchive ${archive}\nmanifest ${manifest}\nkey ${publicKeyText(signer.publicKey)}\n`,
    signer,
  );
}

/** @param next fingerprint of the succeeding signer */
export function formatRotation(next: string, signer: Signer): string {
  return signed(`bramble signer rotation 1\nkey ${publicKeyText(signer.publicKey)}\nnext ${next}\n`, signer);
}

function signed(statement: string, signer: Signer): string {
  return `${statement}signature ${signer.sign(Buffer.from(statement)).toString('base64')}\n`;
}

/**
 * Reads the file beside an archive and verifies every signature in it; `assertSigns` checks that it belongs to the
 * release at hand.
 * @throws BrambleError ERR_RELEASE_SIGNATURE
 */
export function parseSignature(bytes: Buffer, what = 'The signature'): ReleaseSignature {
  const unusable = unusableAs(what);
  const [first = '', ...rest] = blocksOf(bytes, what);
  const [, release = '', archive = '', manifest = '', key = '', signature = ''] = releaseBlock.exec(first) ?? [];
  if (release === '') throw unusable('it does not begin with a release signature in format 1');
  const signer = provenSigner(first, key, signature, unusable);
  const rotations = rest.map((block) => rotationOf(block, unusable));
  return { release, archive, manifest, signer, rotations, text: bytes.toString('latin1') };
}

/** Rotation statements alone, as given to a command. @throws BrambleError ERR_RELEASE_SIGNATURE */
export function parseRotations(bytes: Buffer): Rotation[] {
  const what = 'The statement';
  const unusable = unusableAs(what);
  return blocksOf(bytes, what).map((block) => rotationOf(block, unusable));
}

/**
 * The chain of signers from one to another, both included, each naming the next; undefined when there is none. Bounded
 * by the number of statements, even if they form cycles.
 */
export function chainOf(rotations: readonly Rotation[], from: string, to: string): string[] | undefined {
  const cameFrom = new Map<string, string | null>([[from, null]]);
  // Iterating a map also visits entries added meanwhile: each signer once, the nearest first.
  for (const [signer] of cameFrom) {
    if (signer === to) break;
    for (const rotation of rotations) {
      if (rotation.from === signer && !cameFrom.has(rotation.to)) cameFrom.set(rotation.to, signer);
    }
  }
  if (!cameFrom.has(to)) return undefined;
  const chain: string[] = [];
  for (let signer: string | null = to; signer !== null; signer = cameFrom.get(signer) ?? null) chain.unshift(signer);
  return chain;
}

/** @throws BrambleError ERR_RELEASE_SIGNATURE when it is the signature of another release, archive or manifest */
export function assertSigns(signature: SignedFacts, found: Partial<SignedFacts>, what = 'The signature'): void {
  const unusable = unusableAs(what);
  for (const [fact, value] of Object.entries(found)) {
    const said = signature[fact as keyof SignedFacts];
    if (said === value) continue;
    throw unusable(
      fact === 'release'
        ? `it signs release ${said}, and this is ${value}`
        : `it signs another ${fact}, with the SHA-256 ${said}`,
    );
  }
}

type Unusable = (why: string, cause?: unknown) => BrambleError;

/** @param what the start of the sentence: which signature */
export function unusableAs(what: string): Unusable {
  return (why, cause) =>
    new BrambleError(
      'ERR_RELEASE_SIGNATURE',
      `${what} is not valid: ${why}. Download it again together with its archive; installing the archive again ` +
        'repairs the signature of an installed release.',
      { cause },
    );
}

function blocksOf(bytes: Buffer, what: string): string[] {
  const unusable = unusableAs(what);
  // One character per octet: anything but ASCII matches no block.
  const blocks = bytes.toString('latin1', 0, maxSignatureBytes).split(/(?<=\n)\n/);
  // Checked first: a later one has other limits.
  for (const block of blocks) assertKnown(block, what);
  if (bytes.length > maxSignatureBytes) throw unusable(`it is larger than ${maxSignatureBytes} bytes`);
  if (blocks.length > maxRotations + 1) throw unusable(`it has more than ${maxRotations} statements`);
  return blocks;
}

function assertKnown(block: string, what: string): void {
  const title = anyTitle.exec(block)?.[0];
  if (title === undefined || knownTitles.includes(title)) return;
  throw new BrambleError(
    'ERR_RELEASE_SIGNATURE',
    `${what} was made for a later Bramble: it contains a "${title}", which this release does not know. It may well ` +
      'be intact. Use a release that can read it, such as the latest patch of yours, or get a signature in format ' +
      '1 from the publisher.',
    { details: { statement: title } },
  );
}

function rotationOf(block: string, unusable: Unusable): Rotation {
  const [, key = '', next = '', signature = ''] = rotationBlock.exec(block) ?? [];
  if (next === '') throw unusable('it contains something other than rotation statements in format 1');
  return { from: provenSigner(block, key, signature, unusable), to: next };
}

/** The fingerprint of the key in the block, which signs the block. */
function provenSigner(block: string, keyText: string, signature: string, unusable: Unusable): string {
  const statement = block.slice(0, block.lastIndexOf('signature '));
  let key: KeyObject;
  try {
    key = publicKeyFromText(keyText);
    if (publicKeyText(key) !== keyText || !isCanonical(signature)) throw new TypeError('odd base64');
  } catch (cause) {
    throw unusable('a key or signature in it cannot be read', cause);
  }
  if (!verify(null, Buffer.from(statement), key, Buffer.from(signature, 'base64'))) {
    throw unusable('it was not made with the key that it names, or was modified afterwards');
  }
  return fingerprintOf(key);
}

function isCanonical(base64: string): boolean {
  return Buffer.from(base64, 'base64').toString('base64') === base64;
}
