/**
 * The rule of the phased upgrade: one minor release a step, never backwards, never the same release. What has to be
 * crossed in several steps is answered with the path to take.
 */
import { BrambleError } from '../base/errors.ts';
import { compareReleases, isOneStep, parseRelease } from '../base/release-number.ts';

/**
 * The releases to go through from `from` to `to`, each one minor release on; undefined when there is no such path because
 * `to` is not later or of another major release. Patch releases between are not named: the first of each minor one is.
 */
export function upgradePath(from: string, to: string): string[] | undefined {
  if (compareReleases(to, from) <= 0) return undefined;
  const start = parseRelease(from);
  const end = parseRelease(to);
  if (start.major !== end.major || start.minor === end.minor) return undefined;
  const between = Array.from({ length: end.minor - start.minor - 1 }, (_, index) => start.minor + 1 + index);
  return [from, ...between.map((minor) => `${start.major}.${minor}.0`), to];
}

/** @throws BrambleError ERR_RELEASE_STEP that names both releases and what to do instead. */
export function assertReleaseStep(from: string, to: string): void {
  if (isOneStep(from, to)) return;
  const details = { from, to, path: upgradePath(from, to) ?? null };
  const order = compareReleases(to, from);
  if (order === 0) {
    throw new BrambleError(
      'ERR_RELEASE_STEP',
      `The domain is already of release ${from}. Choose an archive of the next minor release.`,
      { details },
    );
  }
  if (order < 0) {
    throw new BrambleError(
      'ERR_RELEASE_STEP',
      `Release ${to} is earlier than the domain’s ${from}. A finalized upgrade has no way back; an open one is reversed ` +
        'with `bramble upgrade reverse`.',
      { details },
    );
  }
  const path = details.path;
  throw new BrambleError(
    'ERR_RELEASE_STEP',
    path === null
      ? `There is no phased upgrade from ${from} to ${to}: a phased upgrade goes to the next minor release of the same ` +
          'major one. Choose an archive of such a release.'
      : `From ${from} to ${to} is more than one minor release. Upgrade step by step: ${path.join(' → ')}.`,
    { details },
  );
}
