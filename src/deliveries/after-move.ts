/**
 * When the deliveries of a move may be released. The devices of a moved account are busy right after the move: their
 * first request takes the long way, and so do those of all others that move in the same second. Invariant: this is a
 * delay, never a condition: without it only the timing changes.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { isAhead } from '../database/time-stamps.ts';
import type { DeliverySettings } from './delivery-settings.ts';

export type PaceAfterMove = Pick<DeliverySettings, 'afterMoveSeconds' | 'afterMoveAtMostSeconds'>;

export const atOnce: PaceAfterMove = { afterMoveSeconds: 0, afterMoveAtMostSeconds: 0 };

/** For an owed delivery `d`. Accounts that move together each get a different moment, derived from the id. */
export function isRipe(q: Queryable, pace: PaceAfterMove): SqlFragment {
  const spreadSeconds = Math.max(0, pace.afterMoveAtMostSeconds - pace.afterMoveSeconds);
  return q`(d.cause <> 'move' or ${isAhead(q, q`d.owed_at`)} or d.owed_at <= statement_timestamp() - make_interval(secs =>
    ${pace.afterMoveSeconds} + ${spreadSeconds}
      * ('x' || left(md5(d.account_id::text), 8))::bit(32)::bigint::float8 / 4294967296))`;
}
