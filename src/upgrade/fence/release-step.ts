/**
 * The rule of the phased upgrade: one minor release a step, or any later patch of the same minor release; never
 * backwards, never the same release. If several steps are needed, the answer is the path to take.
 */
import { BrambleError } from '../../base/errors.ts';
import { compareReleases, isLaterPatch, isOneStep, upgradePath } from '../../base/release-number.ts';

/**
 * A minor release goes through all states; a patch only through the short fence, changing neither the schema nor the
 * active features.
 */
export type ReleaseStep = 'minor' | 'patch';

/** @throws BrambleError ERR_RELEASE_STEP that names both releases and what to do instead. */
export function releaseStep(from: string, to: string): ReleaseStep {
  if (isOneStep(from, to)) return 'minor';
  if (isLaterPatch(from, to)) return 'patch';
  const details = { from, to, path: upgradePath(from, to) ?? null };
  const order = compareReleases(to, from);
  if (order === 0) {
    throw new BrambleError(
      'ERR_RELEASE_STEP',
      `The domain already runs release ${from}. Choose an archive of a later one.`,
      { details },
    );
  }
  if (order < 0) {
    throw new BrambleError(
      'ERR_RELEASE_STEP',
      `Release ${to} is earlier than the domain’s ${from}, and an upgrade leads to a later one. Choose an archive of ` +
        `a release after ${from}. If an upgrade from ${to} is still open, \`bramble upgrade reverse\` leads back to it.`,
      { details },
    );
  }
  const path = details.path;
  throw new BrambleError(
    'ERR_RELEASE_STEP',
    path === null
      ? `There is no phased upgrade from ${from} to ${to}: a phased upgrade goes to a later patch or to the next ` +
          'minor release of the same major release. Choose an archive of such a release.'
      : `From ${from} to ${to} is more than one minor release. Upgrade step by step: ${path.join(' → ')}.`,
    { details },
  );
}

/**
 * What a patch must not change is compared by the manifests, whatever the numbers say.
 * @throws BrambleError ERR_RELEASE_NOT_PATCH with each difference.
 */
export function assertPatch(from: string, to: string, differences: readonly string[]): void {
  if (differences.length === 0) return;
  throw new BrambleError(
    'ERR_RELEASE_NOT_PATCH',
    `Release ${to} is numbered as a patch of ${from}, but it changes what a patch must not change: ` +
      `${differences.join('; ')}. Nothing was changed. Use another archive: of a patch that changes none of this, ` +
      'or of the next minor release.',
    { details: { from, to, differences } },
  );
}
