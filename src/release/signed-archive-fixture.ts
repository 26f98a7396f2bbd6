/** For tests: signers, and archives of made-up releases that they sign. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeEntries } from './archive-bytes.ts';
import { formatManifest, manifestName } from './manifest.ts';
import { formatSignature, type Signer } from './signature.ts';
import { fingerprintOf } from './signer-fingerprint.ts';
import { sha256 } from './tar-entries.ts';

export type TestSigner = Signer & { fingerprint: string };

export function testSigner(): TestSigner {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { publicKey, fingerprint: fingerprintOf(publicKey), sign: (bytes) => sign(null, bytes, privateKey) };
}

/** An archive of a working tree, as complete as installing and planning need; unsigned without a signer. */
export async function writeTestArchive(
  folder: string,
  release: string,
  options: { signer?: Signer; rotations?: readonly string[]; program?: string } = {},
): Promise<string> {
  const files = new Map([
    ['bramble.mjs', Buffer.from(options.program ?? '//')],
    ['sql/001-x.expand.sql', Buffer.from('select 1;')],
  ]);
  const manifest = formatManifest({
    ...{ format: 1, release, commit: null, workingTree: true, schemaVersion: 1, leastSchemaVersion: 1 },
    ...{ linkVersions: [1], features: [], postgres: '18' },
    files: Object.fromEntries([...files].map(([name, bytes]) => [name, sha256(bytes)])),
  });
  const file = path.join(folder, `bramble-${release}.tgz`);
  const bytes = await writeEntries(new Map([...files, [manifestName, Buffer.from(manifest)]]));
  await writeFile(file, bytes);
  await rm(`${file}.sig`, { force: true });
  if (options.signer !== undefined) {
    const facts = { release, archive: sha256(bytes), manifest: sha256(Buffer.from(manifest)) };
    const text = [formatSignature(facts, options.signer), ...(options.rotations ?? [])].join('\n');
    await writeFile(`${file}.sig`, text);
  }
  return file;
}
