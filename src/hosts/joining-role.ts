/**
 * The database role of invited hosts. Invitations contain its password, and who may administer the domain may become this role: so the
 * administration itself sets the password and ends sessions, as nobody but a superuser could otherwise.
 *
 * Invariant: the role has a password only while there is an invitation, and another one each time the first is made: what an invitation
 * contains is of no use once the invitations of its time are over, and what was set for the role by it is gone. Where one is made and
 * where the last one ends, that is part of the transaction.
 */
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { currentDatabase, resetStatements } from '../database/roles/rights-in-force.ts';
import { scramVerifier } from '../database/roles/role-credentials.ts';
import { roleName } from '../database/roles/role-rights.ts';
import { isAnyInvited } from './host-store.ts';

/** A host that joins looks and asks, for milliseconds each time. */
const maxTransactionSeconds = 5;
/** The role has few sessions, for all who are invited: one of them cannot keep those from the others. Who still joins opens another. */
const maxSessionSeconds = 10;
/** For a session to end that was told to. */
const endWithinMs = 5000;

/** Its name; undefined where it does not exist, or this session may not become it. */
export async function joiningRole(q: Queryable): Promise<string | undefined> {
  const [row] = await q<{ name: string }[]>`
    select rolname as name from pg_roles
     where rolname = ${roleName(await currentDatabase(q), 'join')} and pg_has_role(session_user, oid, 'set')`;
  return row?.name;
}

/** Invitations are made, and their ends noticed, one at a time. Until the transaction ends. */
export async function lockInvitations(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.invitations})`;
}

/** The caller holds {@link lockInvitations}. @param isFirst there was no invitation: who is logged in has no business there */
export async function admitJoining(
  tx: Transaction,
  role: string,
  { password, isFirst }: { password: string; isFirst: boolean },
): Promise<void> {
  await as(tx, role, async () => {
    if (isFirst) await endSessions(tx);
    await resetSettings(tx);
    await setPassword(tx, `'${scramVerifier(password)}'`);
  });
}

/** Where no invitation is left, nobody logs in any more. The caller holds {@link lockInvitations}. */
export async function closeJoiningUnlessInvited(tx: Transaction): Promise<void> {
  const role = await joiningRole(tx);
  if (role === undefined || (await isAnyInvited(tx))) return;
  await as(tx, role, async () => {
    await endSessions(tx);
    await resetSettings(tx);
    await setPassword(tx, 'null');
    // Who logged in between the two can still change the password.
    await endSessions(tx);
  });
}

/**
 * Ends what holds rows, or keeps records of the audit from being sealed, or a session from others, for longer than joining takes; and every
 * session where nobody is invited. Returns how many.
 */
export async function endIdleJoins(tx: Transaction, role: string): Promise<number> {
  const isOpen = await isAnyInvited(tx);
  return await as(tx, role, async () => await endSessions(tx, isOpen ? 'too long' : 'all'));
}

/** Whether somebody is logged in, seen by everybody. */
export async function hasJoiningSessions(q: Queryable, role: string): Promise<boolean> {
  return (await q`select 1 from pg_stat_activity where usename = ${role} limit 1`).length > 0;
}

/** As the role itself. */
async function endSessions(tx: Transaction, which: 'all' | 'too long' = 'all'): Promise<number> {
  const ended = await tx`
    select pg_terminate_backend(pid, ${endWithinMs}) from pg_stat_activity
     where usename = current_user
       and (${which === 'all'} or xact_start < clock_timestamp() - make_interval(secs => ${maxTransactionSeconds})
              or backend_start < clock_timestamp() - make_interval(secs => ${maxSessionSeconds}))`;
  return ended.length;
}

/** As the role itself: every role may change its own password. */
async function setPassword(tx: Transaction, password: string): Promise<void> {
  await tx.unsafe(`alter role current_user password ${password}`);
}

/** As the role itself: what one host has set for the role, such as a search path, would be in force for every later one. */
async function resetSettings(tx: Transaction): Promise<void> {
  for (const statement of resetStatements('current_user', await currentDatabase(tx))) await tx.unsafe(statement);
}

async function as<Result>(tx: Transaction, role: string, work: () => Promise<Result>): Promise<Result> {
  await tx`select set_config('role', ${role}, true)`;
  const result = await work();
  await tx`select set_config('role', 'none', true)`;
  return result;
}
