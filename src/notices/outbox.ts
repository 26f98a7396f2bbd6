/**
 * What is still to be sent, as its deliverers see it: claimed, and settled.
 *
 * Invariants: a target is claimed by one deliverer at a time, whichever process it is in; the claim of one that died runs
 * out, so a notice is sent at least once, and repeated under the same id. Each target has its own retries. What was not
 * tried yet goes first, so that a notice that is always refused stands in nobody's way. What is dropped is counted. All of
 * it is written in transactions of the caller's, which an administration service has under the release lock.
 */
import { randomUUID } from 'node:crypto';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import type { Notice } from './notice.ts';

/** Of each target: the newest are kept. The trigger stops at ten times as many, where nobody delivers. */
export const maxWaiting = 1000;
const giveUpAfterDays = 3;
/** More than an attempt takes. */
const claimSeconds = 60;

export interface TellableTarget {
  id: string;
  name: string;
  channel: string;
  addresses: string[];
  sealed: Buffer | null;
  keyId: string | null;
}

export interface ClaimedNotice {
  claim: string;
  target: TellableTarget;
  failures: number;
  number: string;
  notice: Notice;
}

/** One notice for each target that has one due and is not being delivered to. */
export async function claimDue(tx: Transaction): Promise<ClaimedNotice[]> {
  const rows = await tx<
    (ClaimedNotice['target'] & Notice & { claim: string; failures: number; number: string; noticeId: string })[]
  >`
    with claimed as (
      update notice_target t
         set claim = ${randomUUID()}, claimed_until = clock_timestamp() + make_interval(secs => ${claimSeconds})
       where (t.claimed_until is null or ${isOver(tx, tx`t.claimed_until`)})
         and (t.retry_at is null or ${isOver(tx, tx`t.retry_at`)})
         and exists (select from notice n where n.target_id = t.id)
      returning t.*)
    select c.id, c.name, c.channel, c.addresses, c.sealed, c.key_id as "keyId", c.claim, c.failures,
           n.number::text as number, n.id as "noticeId", n.at, n.kind, n.subject, n.message
      from claimed c
      cross join lateral (
        select * from notice n where n.target_id = c.id order by n.attempts, n.number limit 1) n`;
  return rows.map(({ id, name, channel, addresses, sealed, keyId, claim, failures, number, ...notice }) => ({
    ...{ claim, failures, number, target: { id, name, channel, addresses, sealed, keyId } },
    notice: { id: notice.noticeId, at: notice.at, kind: notice.kind, subject: notice.subject, message: notice.message },
  }));
}

/** The time has come, or is so far off that the database's clock was ahead when it was set. */
function isOver(q: Queryable, at: SqlFragment): SqlFragment {
  return q`(${at} <= clock_timestamp() or ${at} > clock_timestamp() + interval '2 hours')`;
}

/** The other side has it. Only who still holds the claim settles for the target. */
export async function settleDelivered(tx: Transaction, { claim, number, target }: ClaimedNotice): Promise<void> {
  await tx`
    with sent as (delete from notice where number = ${number})
    update notice_target
       set claim = null, claimed_until = null, failures = 0, retry_at = null, last_error = null, last_error_at = null,
           last_sent_at = now()
     where id = ${target.id} and claim = ${claim}`;
}

export async function settleFailed(
  tx: Transaction,
  { claim, number, target }: ClaimedNotice,
  { error, retryMs }: { error: string; retryMs: number },
): Promise<void> {
  await tx`
    with tried as (update notice set attempts = attempts + 1 where number = ${number})
    update notice_target
       set claim = null, claimed_until = null, failures = failures + 1, last_error = ${error.slice(0, 500)},
           last_error_at = now(), retry_at = clock_timestamp() + make_interval(secs => ${retryMs / 1000})
     where id = ${target.id} and claim = ${claim}`;
}

/** Nothing was tried: for the next deliverer. */
export async function releaseClaim(tx: Transaction, { claim, target }: ClaimedNotice): Promise<void> {
  await tx`update notice_target set claim = null, claimed_until = null where id = ${target.id} and claim = ${claim}`;
}

/** Milliseconds until a target that has notices can be delivered to; null when nothing waits. */
export async function nextDueMs(q: Queryable): Promise<number | null> {
  const [row] = await q<{ ms: number | null }[]>`
    select (extract(epoch from min(greatest(t.retry_at, t.claimed_until, clock_timestamp())) - clock_timestamp()) * 1000)::float8
             as ms
      from notice_target t
     where exists (select from notice n where n.target_id = t.id)`;
  return row?.ms ?? null;
}

/**
 * Drops what is too old or too much, and what is of a target that was removed. Returns how many were dropped. A pass over the outbox,
 * which ranks only where there is too much. Targets whose row somebody holds are left for the next time: who settles takes the target
 * first, and its notice then.
 */
export async function trimOutbox(tx: Transaction): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    with held as materialized (select t.id from notice_target t for update skip locked),
    overfull as materialized (select n.target_id from notice n group by n.target_id having count(*) > ${maxWaiting}),
    ranked as (
      select n.number, row_number() over (partition by n.target_id order by n.number desc) as place
        from notice n where n.target_id = any(array(select o.target_id from overfull o))),
    surplus as materialized (
      select r.number from ranked r where r.place > ${maxWaiting}
       union all
      select n.number from notice n
       where n.at < now() - make_interval(days => ${giveUpAfterDays})
          or not exists (select from notice_target t where t.id = n.target_id)),
    gone as (
      delete from notice n
       where n.number = any(array(select s.number from surplus s))
         and (exists (select from held h where h.id = n.target_id)
              or not exists (select from notice_target t where t.id = n.target_id))
      returning n.target_id),
    counted as (select target_id, count(*)::int as dropped from gone group by target_id),
    told as (
      update notice_target t set dropped = t.dropped + c.dropped from counted c where t.id = c.target_id)
    select coalesce(sum(dropped), 0)::int as count from counted`;
  return row?.count ?? 0;
}
