/** The archive of the target release: installed and verified on this host, and what a plan needs of its manifest. */
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { installArchive, verifyInstalled } from '../release/archive.ts';
import type { TargetRelease } from './plan-facts.ts';

/** Which release is meant: an archive that lies on this host, or a release that is installed already. */
export interface TargetChoice {
  /** Path of a release archive on this host. */
  archive?: string | undefined;
  /** Number of an installed release. */
  release?: string | undefined;
}

/**
 * Installs the archive to `BRAMBLE_HOME/releases/<release>`, or verifies what is installed there.
 * @throws BrambleError ERR_INPUT when neither is named, otherwise as `installArchive` and `verifyInstalled`.
 */
export async function installUpgradeArchive(home: string, choice: TargetChoice): Promise<TargetRelease> {
  if (choice.archive !== undefined) {
    const folder = await installArchive(choice.archive, { home });
    return targetOf(await verifyInstalled(folder));
  }
  if (choice.release === undefined || !/^[\d.]+$/.test(choice.release)) {
    throw new BrambleError(
      'ERR_INPUT',
      'Name the target: `archive`, the path of a release archive, or `release`, an installed one.',
    );
  }
  return targetOf(await verifyInstalled(join(home, 'releases', choice.release)));
}

function targetOf(manifest: { release: string; features: readonly string[] }): TargetRelease {
  return { release: manifest.release, features: manifest.features };
}
