/**
 * When what a move owes may be released. The devices of a moved account have enough to do in the moment of its move: their first
 * request goes the long way, and so do those of all that move in the same second.
 * Invariant: it is a delay, never a condition: without it nothing but the moment changes.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { isAhead } from '../database/time-stamps.ts';
import type { DeliverySettings } from './delivery-settings.ts';

export type PaceAfterMove = Pick<DeliverySettings, 'afterMoveSeconds' | 'afterMoveAtMostSeconds'>;

export const atOnce: PaceAfterMove = { afterMoveSeconds: 0, afterMoveAtMostSeconds: 0 };

/** Of delivery `d` that is owed. Accounts that move together have each a moment of their own, which follows from the id. */
export function isRipe(q: Queryable, pace: PaceAfterMove): SqlFragment {
  const spreadSeconds = Math.max(0, pace.afterMoveAtMostSeconds - pace.afterMoveSeconds);
  return q`(d.cause <> 'move' or ${isAhead(q, q`d.owed_at`)} or d.owed_at <= statement_timestamp() - make_interval(secs =>
    ${pace.afterMoveSeconds} + ${spreadSeconds}
      * ('x' || left(md5(d.account_id::text), 8))::bit(32)::bigint::float8 / 4294967296))`;
}
