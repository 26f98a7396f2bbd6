/**
 * Checks that administration services make since 1.2, made here before a plan is sent: one of 1.1 takes the archive
 * whatever release is named with it, and silently replaces an existing plan.
 */
import type { AdministrationClient } from '../api/client.ts';
import { planBody, upgradeOperations } from '../api/upgrade.ts';
import { isBrambleError } from '../base/errors.ts';
import { openArchive } from '../release/archive.ts';
import { assertArchiveOf } from '../upgrade/plan/upgrade-archive.ts';
import { alreadyPlanned } from '../upgrade/state/upgrade-store.ts';

/** @throws BrambleError ERR_INPUT, ERR_UPGRADE_OPEN. */
export async function rejectAccidentalPlan(client: AdministrationClient, body: unknown): Promise<void> {
  const { data: plan } = planBody.safeParse(body);
  // The service refuses an invalid plan, and says why.
  if (plan === undefined) return;
  if (plan.archive !== undefined && plan.toRelease !== undefined) await assertArchiveHere(plan.toRelease, plan.archive);
  if (plan.preview || plan.replace) return;
  const latest = await client.call(upgradeOperations.show, {}).catch((error: unknown) => {
    if (isBrambleError(error, 'ERR_UPGRADE_NONE')) return undefined;
    throw error;
  });
  // A service that sends waits refuses by itself.
  if (latest?.state !== 'planned' || latest.waits !== undefined) return;
  throw alreadyPlanned({ ...latest, state: 'planned' });
}

/** An archive that cannot be read here may be on the service's host; the service says what is wrong with it. */
async function assertArchiveHere(release: string, archive: string): Promise<void> {
  const manifest = await openArchive(archive).catch(() => undefined);
  if (manifest !== undefined) assertArchiveOf(release, archive, manifest);
}
