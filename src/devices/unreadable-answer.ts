/**
 * Answers too malformed to tell which command they are for and how it went. Invariant: each counts against the command
 * that the device has, so that this command is eventually given up and blocks no other, even if the device only keeps
 * resending its answer.
 */
import { isServedBy } from '../accounts/account-fence.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import type { ConnectRequest } from './connect-request.ts';
import { maxHandOuts } from './unanswered-commands.ts';

/**
 * Records it on the command that was handed out last, with the reason. The first one after a hand-out counts with it;
 * further ones count like hand-outs: `answer.unreadable` is the count up to which they did. `exhausted` if the next
 * contact gives the command up. Fenced, without waiting for a move; by device_token_key, account_pkey, command_pending.
 */
export async function recordUnreadableAnswer(
  db: Database,
  instanceId: InstanceId,
  device: Pick<ConnectRequest, 'token' | 'fingerprint' | 'overTls'>,
  reason: string,
): Promise<'nothing-out' | 'noted' | 'exhausted'> {
  const [row] = await db<{ unanswered: number }[]>`
    with fence as materialized (
      select d.id as device_id from device d join account a on a.id = d.account_id
       where d.token = ${device.token} and d.identity_fingerprint = ${device.fingerprint} and d.state = 'active'
         and (d.tls_required_at is null or ${device.overTls})
         and ${isServedBy(db, instanceId)}
         for share of a skip locked
    ), in_hand as materialized (
      select c.id, c.unanswered, c.answer from command c join fence f on f.device_id = c.device_id
       where c.state = 'sent' order by c.sent_at desc limit 1
         for update of c
    )
    update command c
       set unanswered = n.unanswered,
           answer = jsonb_build_object('unreadable', n.unanswered, 'reason', ${reason.slice(0, 1000)}::text)
      from (select h.id, h.unanswered + (h.answer->'unreadable' is not distinct from to_jsonb(h.unanswered))::int as unanswered
              from in_hand h) n
     where c.id = n.id and c.state = 'sent'
    returning c.unanswered`;
  if (row === undefined) return 'nothing-out';
  return row.unanswered >= maxHandOuts ? 'exhausted' : 'noted';
}
