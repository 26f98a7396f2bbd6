/** A backup is tried with the releases of a home; if one is missing, the error names the home that was searched, in case BRAMBLE_HOME was not set. */
import { join } from 'node:path';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { readPresent } from '../base/present-file.ts';
import { verifyInstalled } from '../release/archive.ts';
import { configurationFile } from './home-files.ts';

/** @param domain that of the backup @throws BrambleError as `verifyInstalled` */
export async function assertInstalledIn(home: string, domain: { name: string; release: string }): Promise<void> {
  try {
    await verifyInstalled(join(home, 'releases', domain.release));
  } catch (cause) {
    if (!isBrambleError(cause, 'ERR_RELEASE_NOT_INSTALLED')) throw cause;
    if ((await readPresent(join(home, configurationFile))) !== null) throw cause;
    throw new BrambleError(
      'ERR_RELEASE_NOT_INSTALLED',
      `There is no domain in ${home}, and release ${domain.release} is not installed there: set BRAMBLE_HOME to the home of ` +
        `"${domain.name}", or install that release (\`bramble release install\`).`,
      { cause },
    );
  }
}
