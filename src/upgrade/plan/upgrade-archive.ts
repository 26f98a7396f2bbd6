/**
 * The target release as named by an operator: read and verified where it is, with what a plan needs from its manifest.
 *
 * Invariant: choosing writes nothing; a target is installed only once its plan can be written.
 */
import { basename, isAbsolute, join } from 'node:path';
import { BrambleError } from '../../base/errors.ts';
import { fieldError } from '../../base/field-error.ts';
import { isLaterPatch } from '../../base/release-number.ts';
import { type FoundRelease, installRead, readArchive, readInstalled, verifyInstalled } from '../../release/archive.ts';
import { patchDifferences } from '../../release/patch-rule.ts';
import type { TargetRelease } from './plan-facts.ts';

/** The release that is meant: an archive on this host, or an installed release. */
interface TargetChoice {
  /** Absolute path of a release archive on this host. */
  archive?: string | undefined;
  /** Number of the release: of the archive if there is one, otherwise of an installed release. */
  release?: string | undefined;
}

export interface ChosenTarget extends Omit<TargetRelease, 'differences'> {
  /** With its signature, for `release-trust.ts`. */
  found: FoundRelease;
  /** Installs it in `BRAMBLE_HOME/releases/<release>`, or verifies what is installed there. */
  install(): Promise<void>;
}

/**
 * @throws BrambleError ERR_INPUT when neither is named, for a relative path, and when archive and number disagree; otherwise
 *   as `readArchive` and `readInstalled`.
 */
export async function chooseTarget(home: string, { archive, release }: TargetChoice): Promise<ChosenTarget> {
  if (release !== undefined && !/^[\d.]+$/.test(release)) {
    throw fieldError('body', 'toRelease', `is not the number of a release, such as 1.2.0: ${release}`);
  }
  if (archive !== undefined) return await chooseArchive(home, archive, release);
  if (release === undefined) {
    throw new BrambleError(
      'ERR_INPUT',
      'Name the target: `archive`, the path of a release archive, or `toRelease`, the number of an installed one.',
    );
  }
  const folder = releaseFolder(home, release);
  const found = await readInstalled(folder);
  return { release, features: found.manifest.features, found, install: async () => void (await readInstalled(folder)) };
}

/** Where a release is installed. */
export function releaseFolder(home: string, release: string): string {
  return join(home, 'releases', release);
}

/**
 * What the target changes that a patch of the domain's release must not; empty if its number is not that of a patch.
 * @throws BrambleError as `verifyInstalled`, if the domain's own release is not installed as built.
 */
export async function differencesTo(
  home: string,
  from: string,
  { release, manifest }: Pick<FoundRelease, 'release' | 'manifest'>,
): Promise<string[]> {
  if (!isLaterPatch(from, release)) return [];
  return patchDifferences(await verifyInstalled(releaseFolder(home, from)), manifest);
}

async function chooseArchive(home: string, archive: string, release: string | undefined): Promise<ChosenTarget> {
  if (!isAbsolute(archive)) {
    throw fieldError(
      'body',
      'archive',
      `must be an absolute path on the administration service’s host, not ${archive}`,
    );
  }
  const found = await readArchive(archive);
  assertArchiveOf(release, archive, found);
  // Installs what was verified, even if the file has changed since.
  return {
    ...{ release: found.release, features: found.manifest.features, found },
    install: async () => void (await installRead(found, home)),
  };
}

/** @throws BrambleError ERR_INPUT if an archive is of another release than the one that is named with it. */
export function assertArchiveOf(
  release: string | undefined,
  archive: string,
  manifest: { readonly release: string },
): void {
  if (release === undefined || release === manifest.release) return;
  throw new BrambleError(
    'ERR_INPUT',
    `${basename(archive)} is the archive of release ${manifest.release}, but ${release} is to be planned. Give the ` +
      `archive of ${release}, or plan ${manifest.release}.`,
    { details: { field: 'body.archive', archive: manifest.release, release } },
  );
}
