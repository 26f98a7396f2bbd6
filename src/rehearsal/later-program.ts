/** The program that rehearses is that of the new release; whoever runs the domain's own learns which to run. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { compareReleases, isLaterPatch, isOneStep, isReleaseNumber } from '../base/release-number.ts';
import { releaseStep } from '../upgrade/fence/release-step.ts';

interface Choice {
  home: string;
  /** Release of the domain in the backup. */
  from: string;
  /** Release of this program. */
  own: string;
  /** The backup. */
  file: string;
}

/** @throws BrambleError ERR_RELEASE_STEP unless an upgrade leads to this program's release */
export async function assertLaterProgram({ home, from, own, file }: Choice): Promise<void> {
  if (compareReleases(own, from) > 0) {
    releaseStep(from, own);
    return;
  }
  const releases = join(home, 'releases');
  const later = (await readdir(releases).catch((): string[] => []))
    .filter((name) => isReleaseNumber(name) && (isOneStep(from, name) || isLaterPatch(from, name)))
    .sort(compareReleases);
  const commandOf = (release: string) => `node ${join(releases, release, 'bramble.mjs')} upgrade rehearse ${file}`;
  throw new BrambleError(
    'ERR_RELEASE_STEP',
    `This program is of release ${own}, and the domain in the backup runs ${from}: the program of the new release rehearses. ` +
      (later.length === 0
        ? `Install that release (\`bramble release install\`), and run \`${commandOf('RELEASE')}\`.`
        : `Run ${later.map((release) => `\`${commandOf(release)}\``).join(' or ')}.`),
    { details: { from, own, later } },
  );
}
