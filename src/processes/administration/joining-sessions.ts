/**
 * Looks after the sessions of invited hosts: none holds up the domain with what it has open, and none is left where nobody is invited.
 *
 * A loop of its own: what such a session holds may be what answering waits for.
 */
import { createBell } from '../../base/bell.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import { isAnyInvited } from '../../hosts/host-store.ts';
import {
  closeJoiningUnlessInvited,
  endIdleJoins,
  hasJoiningSessions,
  joiningRole,
  lockInvitations,
} from '../../hosts/joining-role.ts';
import type { Logger } from '../../process/log/logger.ts';

/** While somebody is invited. */
const lookMs = 2000;

/** Until the signal is aborted; failures are retried. */
export async function watchJoiningSessions(
  { db, log }: { db: Database; log: Logger },
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const bell = createBell(clock);
  const listening = await ringAtChanges(db, ['host_invitation'], bell);
  // As it was left by a restored backup, or by whoever made the role.
  let isKnownClosed = false;
  await takeTurns(bell, signal, async () => {
    try {
      const isOpen = await isAnyInvited(db);
      const ended = await look(db);
      if (ended > 0) log.warn({ sessions: ended }, 'sessions of the database role for joining were ended');
      if (!isOpen && (ended > 0 || !isKnownClosed)) await close(db);
      isKnownClosed = !isOpen;
      return isOpen ? lookMs : lateLookMs;
    } catch (error) {
      if (!signal.aborted) log.warn({ reason: messageOf(error) }, 'sessions of joining hosts were not looked after');
      return lookMs;
    }
  });
  await listening.unlisten();
}

async function look(db: Database): Promise<number> {
  const role = await joiningRole(db);
  if (role === undefined || !(await hasJoiningSessions(db, role))) return 0;
  return (await db.begin((tx) => endIdleJoins(tx, role))) as number;
}

async function close(db: Database): Promise<void> {
  await db.begin(async (tx) => {
    // What could hold these is ended by the next look.
    await tx`set local lock_timeout = '2s'`;
    await lockInvitations(tx);
    await closeJoiningUnlessInvited(tx);
  });
}
