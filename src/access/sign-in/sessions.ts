/**
 * Sessions of administrators. Invariant: a session is found by the digest of its secret, and only while it has neither
 * ended nor rested too long nor become too old, and its administrator is active: whoever loses his account loses his sessions
 * with it.
 */
import { newId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import { type OwedFactor, owedBy } from './second-factor-rule.ts';
import { newSecret, secretDigest } from './secrets.ts';

/** A session ends when nobody asks anything with it for so long, whatever a page asks by itself, and in any case after so long. */
const sessionTimes = { restsMinutes: 60, lastsHours: 12 } as const;

export interface NewSession {
  administratorId: string;
  /** Such as `password` or `password and totp`. */
  method: string;
  /** Whether a second factor was shown beside the first; an OpenID provider answers for its own. */
  secondFactor: boolean;
  address: string;
  client: string;
  /** When he proved who he is, if it was not just now. */
  provenAt?: Date;
}

/** An administrator has so many at once; another one ends the oldest. */
const mostSessions = 20;

/** What of it the cookie holds is returned, this once. */
export async function insertSession(q: Queryable, session: NewSession): Promise<string> {
  const secret = newSecret();
  await q`
    update administrator_session set ended_at = now() where id in (
      select s.id from administrator_session s
       where s.administrator_id = ${session.administratorId} and ${isOpen(q)}
       order by s.created_at desc, s.id offset ${mostSessions - 1})`;
  await q`
    insert into administrator_session (id, digest, administrator_id, method, second_factor, address, client, proven_at, expires_at)
    values (${newId<string>()}, ${secretDigest(secret)}, ${session.administratorId}, ${session.method},
            ${session.secondFactor}, ${session.address}, ${session.client}, least(now(), coalesce(${session.provenAt ?? null}::timestamptz, now())),
            now() + make_interval(hours => ${sessionTimes.lastsHours}))`;
  return secret;
}

interface FoundSession {
  id: string;
  administratorId: string;
  name: string;
  role: string;
  /** What the domain itself says of the role; null of a predefined one. */
  roleRights: string[] | null;
  /** Ids; null for an administrator who is not limited to groups. */
  groups: string[] | null;
  provenAt: Date;
  owes: OwedFactor;
  /** Whether its last use was noted so long ago that this one has to be. */
  unseen: boolean;
}

/** Of `administrator_session s`. */
export const isOpen = (q: Queryable) => q`
  s.ended_at is null and s.expires_at > now()
  and s.seen_at > now() - make_interval(mins => ${sessionTimes.restsMinutes})`;

export async function findSession(q: Queryable, secret: string): Promise<FoundSession | undefined> {
  const [row] = await q<FoundSession[]>`
    select s.id, s.administrator_id as "administratorId", a.name, a.role, r.rights as "roleRights",
           case when a.scoped then array(
             select g.group_id::text from administrator_group g where g.administrator_id = a.id) end as groups,
           s.proven_at as "provenAt", ${owedBy(q)} as owes, s.seen_at < now() - interval '1 minute' as unseen
      from administrator_session s join administrator a on a.id = s.administrator_id
      left join custom_role r on r.name = a.role
     where s.digest = ${secretDigest(secret)} and a.state = 'active' and ${isOpen(q)}`;
  return row;
}

/** Whoever asks a second time within the minute writes nothing. */
export async function noteUse(q: Queryable, sessionId: string): Promise<void> {
  await q`
    update administrator_session set seen_at = now()
     where id = ${sessionId} and ended_at is null and seen_at < now() - interval '1 minute'`;
}

/**
 * The session goes on with another secret, which is returned: whoever had the one before has it no longer.
 * @param secondFactor whether the proof had one
 */
export async function noteProof(q: Queryable, sessionId: string, secondFactor: boolean): Promise<string> {
  await q`
    update administrator_session set proven_at = now(), second_factor = second_factor or ${secondFactor}
     where id = ${sessionId}`;
  return await renewSecret(q, sessionId);
}

/** The same where nothing was proved by it. */
export async function renewSecret(q: Queryable, sessionId: string): Promise<string> {
  const secret = newSecret();
  await q`
    update administrator_session set digest = ${secretDigest(secret)}, seen_at = now() where id = ${sessionId}`;
  return secret;
}

/** One that was set up in the session counts as shown there. */
export async function noteSecondFactor(q: Queryable, sessionId: string): Promise<void> {
  await q`update administrator_session set second_factor = true where id = ${sessionId}`;
}

interface ListedSession {
  id: string;
  administrator: string;
  method: string;
  secondFactor: boolean;
  address: string;
  client: string;
  createdAt: Date;
  seenAt: Date;
  expiresAt: Date;
}

/** Those that are open, the latest first. @param of an administrator's; null for everybody's */
export async function listSessions(q: Queryable, of: string | null): Promise<ListedSession[]> {
  return await q<ListedSession[]>`
    select s.id, a.name as administrator, s.method, s.second_factor as "secondFactor", s.address, s.client,
           s.created_at as "createdAt", s.seen_at as "seenAt", s.expires_at as "expiresAt"
      from administrator_session s join administrator a on a.id = s.administrator_id
     where a.state = 'active' and ${isOpen(q)} ${of === null ? q`` : q`and a.id = ${of}`}
     order by s.created_at desc, s.id`;
}

export async function ownerOfSession(q: Queryable, id: string): Promise<{ id: string; role: string } | undefined> {
  const [row] = await q<{ id: string; role: string }[]>`
    select a.id, a.role from administrator_session s join administrator a on a.id = s.administrator_id where s.id = ${id}`;
  return row;
}

/** @param of an administrator's; null for anybody's */
export async function endSession(q: Queryable, sessionId: string, of: string | null): Promise<boolean> {
  const { count } = await q`
    update administrator_session set ended_at = now()
     where id = ${sessionId} and ended_at is null ${of === null ? q`` : q`and administrator_id = ${of}`}`;
  return count === 1;
}

/**
 * All of an administrator's, or all but the one that asks for it, and sign-ins that wait for their next step. These first: one
 * that is just being finished is waited for, and then its session ends too.
 */
export async function endSessionsOf(
  q: Queryable,
  administratorId: string,
  except: string | null = null,
): Promise<void> {
  await q`delete from sign_in_challenge where administrator_id = ${administratorId}`;
  await q`
    update administrator_session set ended_at = now()
     where administrator_id = ${administratorId} and ended_at is null and id is distinct from ${except}::uuid`;
}

/** The one that a browser had before. */
export async function endSessionOfSecret(q: Queryable, secret: string): Promise<void> {
  await q`update administrator_session set ended_at = now() where digest = ${secretDigest(secret)} and ended_at is null`;
}
