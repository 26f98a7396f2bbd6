/**
 * Release numbers `major.minor.patch`, and the rule of the phased upgrade: one minor release a step, or later patches
 * of the same one. Release numbers never decide how to behave, only whether a component is in the range that the
 * database declares.
 */
import { BrambleError } from './errors.ts';

interface ReleaseNumber {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

const releaseForm = /^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/;

export function isReleaseNumber(text: string): boolean {
  return releaseForm.test(text);
}

/** @throws BrambleError ERR_RELEASE_NUMBER when the text is not `major.minor.patch`. */
export function parseRelease(text: string): ReleaseNumber {
  const match = releaseForm.exec(text);
  if (!match) {
    throw new BrambleError(
      'ERR_RELEASE_NUMBER',
      `"${text}" is not a release number: use major.minor.patch, such as 1.0.0.`,
    );
  }
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/** Negative when `a` is the earlier release, 0 when they are the same, positive when it is the later. */
export function compareReleases(a: string, b: string): number {
  const left = parseRelease(a);
  const right = parseRelease(b);
  return left.major - right.major || left.minor - right.minor || left.patch - right.patch;
}

/** Whether `to` is a later patch of the same minor release, by its number alone. */
export function isLaterPatch(from: string, to: string): boolean {
  const a = parseRelease(from);
  const b = parseRelease(to);
  return a.major === b.major && a.minor === b.minor && b.patch > a.patch;
}

/** Whether `to` can be reached from `from` in one phased upgrade: the next minor release of the same major one. */
export function isOneStep(from: string, to: string): boolean {
  const a = parseRelease(from);
  const b = parseRelease(to);
  return a.major === b.major && b.minor === a.minor + 1;
}

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
