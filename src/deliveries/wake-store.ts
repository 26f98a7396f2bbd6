/**
 * Which devices to wake. A wake only costs rate and proves nothing: a device that connects by itself is served the
 * same. Invariant: a device is woken again only after it connected, or after an interval that doubles up to half an
 * hour.
 *
 * *Later*: a device retries by itself only if that was its last answer. If anything followed (it answered another
 * command, or connected and found no slot) it is owed a wake, and the interval doubles from that answer on, not from
 * when its oldest command was queued. The interval only paces pushes: whenever a device connects, it gets what waits.
 */
import { isServedBy } from '../accounts/account-fence.ts';
import type { Queryable } from '../database/connection.ts';
import { isAhead } from '../database/time-stamps.ts';
import { fencedAccountOf } from '../devices/device-fence.ts';
import type { WakeAddress } from '../platforms/waking.ts';
import { commandStates } from '../states/command-states.ts';
import { isSuspended } from '../states/device-states.ts';
import { canBeWoken, column } from '../states/stored-names.ts';

interface WakePace {
  /** Minimum time between two wakes of a device that does not connect. */
  readonly againSeconds: number;
  /** Maximum time between them. */
  readonly maxAgainSeconds: number;
  /** After a device connected and found no free slot. */
  readonly slotRetrySeconds: number;
}

export interface SleepingDevice {
  readonly deviceId: string;
  readonly accountId: string;
  readonly platform: string;
  /** The channel is empty if the device announced none. */
  readonly address: WakeAddress;
  /** True if only deliveries that need a slot wait. */
  readonly needsSlot: boolean;
}

/**
 * The instance's devices of these platforms with commands to fetch that are due for a wake, those with urgent ones
 * first, at most `limit`.
 * A device is due if it was never woken; if it connected since its wake and something new waits; at once for a new
 * urgent command; if it connected, found no slot, and `slotRetrySeconds` passed; and otherwise when the interval is
 * over, which is as long as the wait before the last wake. An answer and the contact that brought it have the same
 * time, so a device seen later than its last *later* has sent something since. A suspended enrolment is woken whatever
 * waits for it, so that a device that still exists can show it; because a push may be lost, again after an hour, then
 * at intervals that double up to a day. By command_pending, device_suspended, device_pkey, account_pkey; no locks.
 */
export async function listSleeping(
  q: Queryable,
  instanceId: string,
  platforms: readonly string[],
  pace: WakePace,
  limit: number,
): Promise<SleepingDevice[]> {
  const rows = await q<(Omit<SleepingDevice, 'address'> & WakeAddress)[]>`
    with pending as (
      select c.device_id, min(c.queued_at) as first, bool_or(c.urgent) as urgent,
             max(c.queued_at) filter (where c.urgent) as urgent_at,
             max(c.queued_at) filter (where c.state = 'queued') as newest,
             bool_and(c.budgeted and c.state <> 'sent') as needs_slot,
             bool_or(c.budgeted and c.state = 'queued') as slot_wanted,
             max(c.answered_at) filter (where c.state = 'not-now') as not_now_at, 'active' as state
        from command c where ${commandStates.in(q, 'pending', 'c')}
       group by c.device_id
      union all
      select s.id, s.suspended_at, false, null, null, false, false, null, 'authenticated' from device s
       where ${isSuspended(q, 's')}
         and (s.woken_at is null or s.woken_at < s.suspended_at or ${isAhead(q, q`s.woken_at`)}
              or clock_timestamp() - s.woken_at >= least(greatest(s.woken_at - s.suspended_at, interval '1 hour'), interval '1 day'))
    )
    select v.id as "deviceId", a.id as "accountId", v.platform, ${column(q, 'wakeToken', 'v')} as token, ${column(q, 'wakeSecret', 'v')} as secret,
           coalesce(${column(q, 'wakeChannel', 'v')}, '') as channel, p.needs_slot as "needsSlot"
      from pending p
      join device v on v.id = p.device_id
      join account a on a.id = v.account_id
     where ${isServedBy(q, instanceId)} and v.state = p.state and ${canBeWoken(q, 'v')}
       and v.platform = any(${platforms as string[]}::text[])
       and (v.woken_at is null
            or ${isAhead(q, q`v.woken_at`)}
            or p.urgent_at > v.woken_at
            or (v.last_seen_at >= v.woken_at and p.newest > v.woken_at)
            or (v.last_seen_at >= v.woken_at and p.slot_wanted
                and v.woken_at < clock_timestamp() - make_interval(secs => ${pace.slotRetrySeconds}))
            or clock_timestamp() - v.woken_at >= greatest(make_interval(secs => ${pace.againSeconds}),
                 least(v.woken_at - case when v.last_seen_at > p.not_now_at then p.not_now_at else p.first end,
                      make_interval(secs => ${pace.maxAgainSeconds}))))
     order by p.urgent desc, p.needs_slot, p.first, v.id
     limit ${limit}`;
  return rows.map(({ token, secret, channel, ...device }) => ({ ...device, address: { token, secret, channel } }));
}

/**
 * Records that these devices are being woken; returns those that we may still wake. Fenced; account rows FOR SHARE,
 * device rows FOR UPDATE, all SKIP LOCKED: a device that connects this very moment need not be woken. By device_pkey,
 * account_pkey and delivery_device.
 */
export async function markWoken(q: Queryable, instanceId: string, deviceIds: readonly string[]): Promise<string[]> {
  if (deviceIds.length === 0) return [];
  const rows = await q<{ id: string }[]>`
    with ours as materialized (
      select v.id from device v join account a on a.id = v.account_id
       where v.id = any(${deviceIds as string[]}::uuid[]) and ${isServedBy(q, instanceId)}
       order by a.id, v.id
         for share of a skip locked
         for update of v skip locked
    ), deliveries as (
      update delivery d set woken_at = clock_timestamp()
       where d.device_id = any(array(select o.id from ours o)) and (d.state = 'released') is true
    )
    update device v set woken_at = clock_timestamp() where v.id = any(array(select o.id from ours o))
    returning v.id`;
  return rows.map((row) => row.id);
}

/**
 * The wake service reports a dead address: no more wakes until the device announces another. Only if the address is
 * still the one that was used. Fenced.
 */
export async function waitForAddress(
  q: Queryable,
  instanceId: string,
  device: Pick<SleepingDevice, 'deviceId' | 'address'>,
): Promise<'noted' | 'not-now'> {
  const { count } = await q`
    with fence as materialized (
      ${fencedAccountOf(q, instanceId, device.deviceId)}
    )
    update device v set ${column(q, 'wakeState')} = 'wait-for-token' from fence f
     where v.id = ${device.deviceId} and v.account_id = f.id and ${column(q, 'wakeToken', 'v')} = ${Buffer.from(device.address.token)}`;
  return count === 1 ? 'noted' : 'not-now';
}
