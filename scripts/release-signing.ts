/** Signs an archive as it lies on disk, once it was found to be whole; a signature that lay beside it is replaced. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readArchive } from '../src/release/archive.ts';
import {
  formatSignature,
  parseRotations,
  parseSignature,
  type Signer,
  signatureSuffix,
} from '../src/release/signature.ts';
import { fingerprintOf } from '../src/release/signer-fingerprint.ts';

/** @param rotations files with statements that lead to this key */
export async function signArchive(archive: string, signer: Signer, rotations: readonly string[]): Promise<void> {
  const file = `${archive}${signatureSuffix}`;
  const statements = rotations.map((rotation) => readFileSync(rotation));
  const last = statements.flatMap(parseRotations).at(-1);
  const fingerprint = fingerprintOf(signer.publicKey);
  if (last !== undefined && last.to !== fingerprint) {
    throw new Error(`The statements of rotation end with ${last.to}, and this key is ${fingerprint}.`);
  }
  rmSync(file, { force: true });
  const { release, archiveSha256, manifestSha256 } = await readArchive(archive);
  const facts = { release, archive: archiveSha256, manifest: manifestSha256 };
  const text = [formatSignature(facts, signer), ...statements.map(String)].join('\n');
  parseSignature(Buffer.from(text));
  writeFileSync(`${file}.draft`, text);
  renameSync(`${file}.draft`, file);
}
