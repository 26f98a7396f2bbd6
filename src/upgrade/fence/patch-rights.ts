/**
 * The rights of database roles in a patch, which migrates nothing: what its release wants and the one before did not grant is
 * granted behind the fence, and what it wants no more is taken back when it is closed. So a patch can mend a right.
 *
 * Invariant: what was granted is noted in the transaction that granted it, so that a reversal takes back just that.
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

/** The patch stays: nobody of the release before is left who needs more. */
export async function takeRightsBack(tx: Transaction): Promise<void> {
  await withOwner(tx, () => applyRights(tx, { revoke: true }));
}

/** The patch goes: what it was granted goes with it. */
export async function revokeGrantedRights(tx: Transaction, { progress }: Upgrade): Promise<void> {
  const excess = progress.rightsGranted.map((right) => ({ ...right, kind: 'excess' as const }));
  await withOwner(tx, () => changeRights(tx, excess));
}
