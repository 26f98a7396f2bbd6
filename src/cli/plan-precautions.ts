/**
 * What an administration service refuses since 1.2, asked before a plan is sent: one of 1.1 takes the archive whatever release
 * is named beside it, and puts a plan in the place of another without a word.
 */
import * as z from 'zod';
import { isBrambleError } from '../base/errors.ts';
import { openArchive } from '../release/archive.ts';
import { assertArchiveOf } from '../upgrade/plan/upgrade-archive.ts';
import { plannedAlready } from '../upgrade/state/upgrade-store.ts';
import type { RestClient } from './rest-client.ts';

const planShape = z.looseObject({
  toRelease: z.string().optional(),
  archive: z.string().optional(),
  preview: z.unknown().optional(),
  replace: z.unknown().optional(),
});
const openPlanShape = z.looseObject({
  state: z.literal('planned'),
  toRelease: z.string(),
  createdAt: z.coerce.date(),
  /** A service that sends these refuses by itself. */
  waits: z.undefined().optional(),
});

/** @throws BrambleError ERR_INPUT, ERR_UPGRADE_OPEN. */
export async function refuseUnmeantPlan(rest: RestClient, body: unknown): Promise<void> {
  const { data: plan } = planShape.safeParse(body);
  // What is no plan at all the service refuses, and says why.
  if (plan === undefined) return;
  if (plan.archive !== undefined && plan.toRelease !== undefined) await assertArchiveHere(plan.toRelease, plan.archive);
  if (plan.preview === true || plan.replace === true) return;
  const latest = await rest.send('GET', '/upgrade').catch((error: unknown) => {
    if (isBrambleError(error) && error.code === 'ERR_UPGRADE_NONE') return undefined;
    throw error;
  });
  const { data: open } = openPlanShape.safeParse(latest);
  if (open !== undefined) throw plannedAlready(open);
}

/** An archive that cannot be read here may lie on the service's host, which says what is wrong with it. */
async function assertArchiveHere(release: string, archive: string): Promise<void> {
  const manifest = await openArchive(archive).catch(() => undefined);
  if (manifest !== undefined) assertArchiveOf(release, archive, manifest);
}
