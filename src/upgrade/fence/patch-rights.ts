/**
 * The rights of database roles in a patch, which migrates nothing: rights that its release needs and the previous one
 * did not grant are granted behind the fence, and those no longer needed are revoked when it is closed. So a patch can
 * fix a right.
 *
 * Invariant: granted rights are recorded in the granting transaction, so that a reversal revokes exactly those.
 */
import type { Transaction } from '../../database/connection.ts';
import { applyRights, changeRights, withOwner } from '../../database/roles/rights-in-force.ts';
import { mergeProgress, type Upgrade } from '../state/upgrade-store.ts';

/** Before the first process of the patch starts. */
export async function grantRights(tx: Transaction, { id, progress }: Upgrade): Promise<number> {
  const granted = await withOwner(tx, () => applyRights(tx, { revoke: false }));
  const { rightsGranted } = progress;
  if (granted.length > 0)
    await mergeProgress(tx, id, { rightsGranted: [...rightsGranted, ...granted.map((right) => ({ ...right }))] });
  return granted.length;
}

/** The patch stays: nothing of the previous release is left that needs more. */
export async function takeRightsBack(tx: Transaction): Promise<void> {
  await withOwner(tx, () => applyRights(tx, { revoke: true }));
}

/** The patch is reversed: its rights are revoked. */
export async function revokeGrantedRights(tx: Transaction, { progress }: Upgrade): Promise<void> {
  const excess = progress.rightsGranted.map((right) => ({ ...right, kind: 'excess' as const }));
  await withOwner(tx, () => changeRights(tx, excess));
}
