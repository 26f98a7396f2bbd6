/** The key of a host that joined, in its home: `keys/host.json`, 0600. It signs requests for first SRP credentials. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { readPresent } from '../base/present-file.ts';
import { writeWholeFile } from '../database/whole-file.ts';

export const hostKeyShape = z.object({
  privateKeyPem: z.string().min(1),
  /** As it was proven when the host joined. */
  domainAuthorityPem: z.string().min(1),
});
export type HostKey = z.output<typeof hostKeyShape>;

/** In the home. */
export const hostKeyFile = 'keys/host.json';

const fileOf = (home: string) => join(home, hostKeyFile);

export async function writeHostKey(home: string, key: HostKey): Promise<void> {
  await writeWholeFile(fileOf(home), `${JSON.stringify(key, null, 2)}\n`, 'w');
}

/** Without reading it. */
export const hasJoined = (home: string): boolean => existsSync(fileOf(home));

/** Null on a host that did not join. @throws BrambleError ERR_CONFIGURATION */
export async function readHostKey(home: string): Promise<HostKey | null> {
  const file = fileOf(home);
  const text = await readPresent(file);
  if (text === null) return null;
  try {
    return hostKeyShape.parse(JSON.parse(text));
  } catch (cause) {
    throw new BrambleError('ERR_CONFIGURATION', `The host’s key ${file} cannot be read. Restore it from the backup.`, {
      cause,
    });
  }
}
