/** What administrators give others: never more than they have. */
import type { Actor } from '../../access/actor.ts';
import { groupsNamed } from '../../access/group-names.ts';
import { assertMayGive, holdRole } from '../../access/roles.ts';
import { BrambleError } from '../../base/errors.ts';
import { fieldError } from '../../base/field-error.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';

/** Of groups by their names; null for all. @throws BrambleError ERR_INPUT */
export async function groupIds(q: Queryable, names: readonly string[] | null): Promise<string[] | null> {
  if (names === null) return null;
  const ids = await groupsNamed(q, names);
  if (Array.isArray(ids)) return ids;
  throw fieldError('body', 'groups', `names a group that does not exist: ${ids.unknown}`);
}

/** @throws BrambleError ERR_NOT_FOUND for an unknown role, ERR_RIGHT_MISSING for one with more rights, or more groups */
export async function assertWithin(
  tx: Transaction,
  actor: Actor,
  role: string,
  groups: readonly string[] | null,
): Promise<void> {
  assertMayGive(actor, await holdRole(tx, role));
  const own = actor.groups;
  if (own === null || groups?.every((group) => own.includes(group)) === true) return;
  throw new BrambleError('ERR_RIGHT_MISSING', `${actor.name} cannot give more groups than ${actor.name} has.`);
}
