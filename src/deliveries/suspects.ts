/**
 * Devices that took a delivery and fell silent become suspects: their slots are free for others, under a cap of their own.
 * Once the cap is reached they cost time, never the last slot: what a device has held for {@link silentPatience} times the
 * time-out goes back to *released*, as if it had not been handed out, and needs a slot again when the device connects.
 *
 * The slowest progress. Let T be `suspectAfterSeconds`. A taken slot becomes free with the device's answer; at T if a
 * suspect's place is free; otherwise at {@link silentPatience} × T, plus at most one turn of its instance, since the
 * delivery is then taken back even if all suspects' places are held. If its instance takes no such turns (it is dead,
 * or of release 1.1, which takes nothing back), any other instance takes it back one T later: a single working one is
 * enough. So with any number of silent devices each slot is handed out anew at least once in that time (by default 60
 * slots in six minutes, beside the 20 suspects), and a device that answers frees its slot at once. Nor can silent
 * devices that keep connecting hold all slots for ever: a command that was handed out ten times without an answer fails
 * (connect-statement.ts). An instance of 1.1 does not count that: such devices of its own compete for each free slot
 * like all others.
 *
 * Invariant 5: a delivery changes from slots to a suspects' permit in one statement; if no such permit is free it keeps
 * its slots; and it releases them in the statement that takes it from the device.
 */
import { isMarked, isServedBy } from '../accounts/account-fence.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { isLongerAgo } from '../database/time-stamps.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { silentPatience } from './budget.ts';

/**
 * Marks this instance's deliveries that were handed out longer ago than `afterSeconds` as suspects, the oldest first,
 * as far as the cap allows; returns their ids. An account that is moving or locked is left for the next time. By
 * delivery_open; locks account rows FOR SHARE and delivery and permit rows FOR UPDATE, all SKIP LOCKED.
 */
export async function markSuspects(q: Queryable, instanceId: string, afterSeconds: number): Promise<string[]> {
  const rows = await q<{ id: string }[]>`
    with silent as materialized (
      select d.id from delivery d
        join account a on a.id = d.account_id and a.instance_id = ${instanceId}
       where d.state = 'handed-out' and d.budgeted
         and ${isLongerAgo(q, q`d.handed_out_at`, afterSeconds)}
       order by d.handed_out_at limit 200
    ), fenced as materialized (
      select d.id from delivery d
        join account a on a.id = d.account_id
       where d.id in (select id from silent) and d.state = 'handed-out' and ${isServedBy(q, instanceId)}
       order by d.handed_out_at
         for share of a skip locked
         for update of d skip locked
    ), free as materialized (
      select number from delivery_permit
       where scope = 'suspects' and number > 0 and delivery_id is null
       order by number limit (select count(*) from fenced)
         for update skip locked
    ), matched as materialized (
      select f.id, s.number from (select id, row_number() over () as n from fenced) f
        join (select number, row_number() over (order by number) as n from free) s using (n)
    ), given as (
      update delivery_permit p set delivery_id = null, taken_at = null
        from matched m where p.delivery_id = m.id and p.scope <> 'suspects'
    ), taken as (
      update delivery_permit p set delivery_id = m.id, taken_at = clock_timestamp()
        from matched m where p.scope = 'suspects' and p.number = m.number
    )
    update delivery d set state = 'suspect' from matched m where d.id = m.id and d.state = 'handed-out'
    returning d.id`;
  return rows.map((row) => row.id);
}

/**
 * Takes back what this instance's devices have had for longer than `afterSeconds` × {@link silentPatience}, while
 * deliveries that are silent for `afterSeconds` hold slots and no suspects' permit is free; returns the ids. The
 * command goes back into the queue under its own id: a late answer still settles it, and an effect on the device
 * happens only once. By delivery_open and command_delivery; locks as {@link markSuspects} does, and the command rows.
 */
export async function takeBackSilent(q: Queryable, instanceId: string, afterSeconds: number): Promise<string[]> {
  const { silentHoldSlots, noPlaceIsFree } = needs(q, afterSeconds);
  return await takeBack(
    q,
    isServedBy(q, instanceId),
    q`
      select d.id from delivery d join account a on a.id = d.account_id and a.instance_id = ${instanceId}
       where ${deliveryStates.in(q, 'with-device', 'd')} and d.budgeted
         and ${isLongerAgo(q, q`d.handed_out_at`, afterSeconds * silentPatience)}
         and ${silentHoldSlots} and ${noPlaceIsFree}
       order by d.handed_out_at limit 200`,
  );
}

/**
 * The same for deliveries of instances that take no turns, for all accounts: one time-out later than the owning
 * instance would, including slots that it would have exchanged for a free suspect's place.
 */
export async function takeBackForgotten(q: Queryable, afterSeconds: number): Promise<string[]> {
  const { silentHoldSlots, noPlaceIsFree } = needs(q, afterSeconds);
  return await takeBack(
    q,
    q`not ${isMarked(q)}`,
    q`
      select d.id from delivery d
       where ${deliveryStates.in(q, 'with-device', 'd')} and d.budgeted
         and ${isLongerAgo(q, q`d.handed_out_at`, afterSeconds * (silentPatience + 1))}
         and ${silentHoldSlots} and (d.state = 'handed-out' or ${noPlaceIsFree})
       order by d.handed_out_at limit 200`,
  );
}

/** Unless there are any, nothing has to be taken back. */
function needs(q: Queryable, afterSeconds: number): Readonly<Record<'silentHoldSlots' | 'noPlaceIsFree', SqlFragment>> {
  return {
    silentHoldSlots: q`
      exists (select 1 from delivery o where o.state = 'handed-out' and o.budgeted
                 and ${isLongerAgo(q, q`o.handed_out_at`, afterSeconds)})`,
    noPlaceIsFree: q`
      not exists (select 1 from delivery_permit where scope = 'suspects' and number > 0 and delivery_id is null)`,
  };
}

/**
 * The same on request of an operator, for the accounts of all instances and without extra patience: whatever has been
 * silent for `afterSeconds`.
 */
export async function takeBackAllSilent(tx: Transaction, afterSeconds: number): Promise<string[]> {
  return await takeBack(
    tx,
    tx`not ${isMarked(tx)}`,
    tx`
      select d.id from delivery d
       where ${deliveryStates.in(tx, 'with-device', 'd')} and d.budgeted
         and ${isLongerAgo(tx, tx`d.handed_out_at`, afterSeconds)}
       order by d.handed_out_at`,
  );
}

/** @param fence the condition that account `a` has to meet when it is locked */
async function takeBack(q: Queryable, fence: SqlFragment, silent: SqlFragment): Promise<string[]> {
  const rows = await q<{ id: string }[]>`
    with silent as materialized (${silent}
    ), fenced as materialized (
      select d.id, c.id as command_id from delivery d
        join account a on a.id = d.account_id
        join command c on c.delivery_id = d.id and c.state = 'sent'
       where d.id in (select id from silent) and ${deliveryStates.in(q, 'with-device', 'd')} and ${fence}
       order by d.handed_out_at
         for share of a skip locked
         for update of c skip locked
         for update of d skip locked
    ), queued as (
      update command c set state = 'queued' from fenced f where c.id = f.command_id and c.state = 'sent'
    ), given as (
      update delivery_permit p set delivery_id = null, taken_at = null from fenced f where p.delivery_id = f.id
    )
    update delivery d set state = 'released'
      from fenced f where d.id = f.id and ${deliveryStates.in(q, 'with-device', 'd')}
    returning d.id`;
  return rows.map((row) => row.id);
}
