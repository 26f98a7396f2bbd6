/** Checks of the two releases: that the step is allowed, and both are here, unmodified and signed by whom the domain trusts. */
import { join } from 'node:path';
import { isBrambleError } from '../../../base/errors.ts';
import { readDomain } from '../../../domain/domain.ts';
import { readInstalled, verifyInstalled } from '../../../release/archive.ts';
import { patchDifferences } from '../../../release/patch-rule.ts';
import { judgementText } from '../../../release/signer-judgement.ts';
import { assertPatch, releaseStep } from '../../fence/release-step.ts';
import { judgeRelease } from '../../fence/release-trust.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { type CheckOptions, error, type Finding, passed, warning } from './check.ts';

export async function checkStep({ db, home, release }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const domain = await readDomain(db);
  if (domain.release !== upgrade.fromRelease) {
    return error(`The plan is for a domain of ${upgrade.fromRelease}, but this one is ${domain.release}. Plan again.`);
  }
  if (releaseStep(upgrade.fromRelease, upgrade.toRelease) === 'minor') {
    return passed(`${upgrade.fromRelease} to ${upgrade.toRelease} is a single step`);
  }
  const installed = async (which: string) => await verifyInstalled(join(home, 'releases', which));
  const differences = patchDifferences(await installed(upgrade.fromRelease), await installed(release));
  assertPatch(upgrade.fromRelease, upgrade.toRelease, differences);
  return passed(
    `${upgrade.toRelease} is a patch of ${upgrade.fromRelease}: schema, features and stored data are the same`,
  );
}

export async function checkInstalled({ home, release }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  for (const wanted of [upgrade.fromRelease, release]) await verifyInstalled(join(home, 'releases', wanted));
  return passed(`${upgrade.fromRelease} and ${release} are installed and unmodified`);
}

/** The previous release may not have verified signatures; if it did, this repeats it. */
export async function checkSignature({ db, home, release }: CheckOptions): Promise<Finding> {
  const installed = await readInstalled(join(home, 'releases', release));
  try {
    return passed(`${release} is ${judgementText(await judgeRelease(db, installed))}`);
  } catch (cause) {
    if (!isBrambleError(cause, 'ERR_RELEASE_SIGNER')) throw cause;
    return warning(`${cause.message} To continue anyway: --override release-signature.`);
  }
}
