/** Whose releases this host takes from the database: `release-signer.json` in its home. It is there since this host has joined, or another one. */
import { existsSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { writeDurably } from '../base/durable-file.ts';
import { BrambleError } from '../base/errors.ts';

/** As the domain knew it then. */
export const hostSignerShape = z.object({
  fingerprint: z.string().nullable(),
  unsigned: z.array(z.string()),
  refused: z.array(z.string()),
});
type HostSigner = z.output<typeof hostSignerShape>;

const hostSignerFile = (home: string) => join(home, 'release-signer.json');

/** Whether this home takes releases from the database: since it joined, or another host did. */
export const fetchesReleases = (home: string): boolean => existsSync(hostSignerFile(home));

export async function readHostSigner(home: string): Promise<HostSigner> {
  const file = hostSignerFile(home);
  try {
    return hostSignerShape.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw new BrambleError(
      'ERR_RELEASE_SIGNER',
      `The file ${file} cannot be read, so this host does not know whose releases the domain accepts. Install the release by ` +
        'hand: `bramble release install ARCHIVE`.',
      { cause },
    );
  }
}

export async function writeHostSigner(home: string, signer: HostSigner): Promise<void> {
  const file = hostSignerFile(home);
  await writeDurably(`${file}.new`, `${JSON.stringify(signer)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
