/**
 * Two enrolments with the same name. A wiped device cannot prove who it was, so the newcomer is accepted and the
 * earlier enrolment is suspended: it is owed nothing, holds no permit, and ends after `suspensionDays`. It is woken at
 * growing intervals, so that a device that still exists can show it, and keeps its tunnels; when its key is seen, at a
 * connect, an announcement or a new tunnel, it is resumed, and an event names both.
 *
 * Invariant: nobody can silence a device by claiming its name. An enrolment whose key answered is never suspended again
 * by one that existed by then: each further attempt takes a further activation.
 *
 * In the database a suspended enrolment is `authenticated` with `suspended_at`: like us, release 1.1 does not owe, wake
 * or serve such a row. An instance suspends enrolments of its own accounts, under their fence: at once if it serves the
 * newcomer too, otherwise when it scans recent newcomers and, page by page, all devices. The latter finds what the
 * former cannot: pairs that 1.1 left, and accounts moved here since the newcomer came.
 */

import { fencedAccounts } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { recordEvent } from '../domain/events.ts';
import { deviceStates, isSuspended } from '../states/device-states.ts';
import { column, enrolmentName } from '../states/stored-names.ts';
import { endDeliveries, endEnrolments } from './enrolment-end.ts';

/** A suspended enrolment ends after this. */
export const suspensionDays = 30;

/** An offer is valid for a day: if 1.1 accepted the newcomer, it was within that time. */
const authenticatedWithinHours = 24;

interface Pair {
  earlier: DeviceId;
  newcomer: DeviceId;
  /** The earlier one's key was seen since the newcomer came. */
  answered: boolean;
}

/** Which names are checked: those of one newcomer, of all that came within some minutes, of a page of devices. */
export type NamesLookedAt =
  | { readonly newcomer: DeviceId }
  | { readonly authenticatedWithinMinutes: number }
  | DevicePage;

/** Devices from `from` (inclusive) to `to` (exclusive); null means unbounded. */
export interface DevicePage {
  readonly from: DeviceId | null;
  readonly to: DeviceId | null;
}

/** The page of `size` devices, of any account and state, that starts at `from`. By device_pkey. */
export async function pageOfDevices(q: Queryable, from: DeviceId | null, size: number): Promise<DevicePage> {
  const [next] = await q<{ id: DeviceId }[]>`
    select id from device where id >= coalesce(${from}::uuid, ${firstId}) order by id offset ${size} limit 1`;
  return { from, to: next?.id ?? null };
}

const [firstId, lastId] = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'];

function namesOf(q: Queryable, looked: NamesLookedAt) {
  if ('newcomer' in looked) {
    return q`select lower(${enrolmentName(q, 'device')}) as name from device where id = ${looked.newcomer}`;
  }
  const among =
    'from' in looked
      ? q`id >= coalesce(${looked.from}::uuid, ${firstId}) and id < coalesce(${looked.to}::uuid, ${lastId})`
      : q`authenticated_at > clock_timestamp() - make_interval(mins => ${looked.authenticatedWithinMinutes})`;
  return q`
    select distinct lower(${enrolmentName(q, 'device')}) as name from device
     where ${among} and ${deviceStates.in(q, 'enrolled')}`;
}

/**
 * Enrolments of `named.name`. The offset makes the planner look up each name in device_named once, whatever it expects.
 */
function namesakes(q: Queryable) {
  return q`
    select v.* from device v
     where lower(${enrolmentName(q, 'v')}) = named.name and ${deviceStates.in(q, 'enrolled', 'v')} offset 0`;
}

/** Maximum per call, since a mover waits for the accounts that it holds. */
export const maxSuspended = 50;

/**
 * Suspends enrolments of the instance's accounts where a newcomer names the same; those that have answered since are
 * left alone and named in an event. Checks one `newcomer`, or whichever newcomers the scan finds. At most
 * `maxSuspended`; returns how many. Relies on device_named, and device_authenticated or device_pkey; accounts FOR
 * SHARE SKIP LOCKED: those that a move holds are left for the next pass.
 */
export async function suspendEarlier(tx: Transaction, instanceId: InstanceId, looked: NamesLookedAt): Promise<number> {
  const newcomer = 'newcomer' in looked ? looked.newcomer : null;
  const pairs = await tx<Pair[]>`
    with named as materialized (${namesOf(tx, looked)}), pair as materialized (
      select distinct on (e.id) e.id as earlier, e.account_id, d.id as newcomer,
             coalesce(e.last_seen_at, e.created_at)
               >= coalesce(d.authenticated_at, d.created_at + make_interval(hours => ${authenticatedWithinHours})) as answered
        from named
       cross join lateral (${namesakes(tx)}) e
       cross join lateral (${namesakes(tx)}) d
       where e.id <> d.id and not ${isSuspended(tx, 'e')} and not ${isSuspended(tx, 'd')}
         and (${newcomer}::uuid is null or d.id = ${newcomer})
         and coalesce(d.authenticated_at, d.created_at) > coalesce(e.authenticated_at, e.created_at)
         and d.created_at > coalesce(e.returned_at, '-infinity')
         and (select a.instance_id from account a where a.id = e.account_id) = ${instanceId}
       order by e.id, d.created_at desc
       limit ${maxSuspended}
    ), fence as materialized (
      ${fencedAccounts(tx, instanceId, tx`select p.account_id from pair p`)}
    )
    select p.earlier, p.newcomer, p.answered from pair p join fence f on f.id = p.account_id`;
  for (const pair of pairs) {
    if (pair.answered) await noteAnswer(tx, pair.earlier, pair.newcomer);
    else await suspend(tx, pair);
  }
  return pairs.length;
}

async function suspend(tx: Transaction, { earlier, newcomer }: Pair): Promise<void> {
  await endDeliveries(tx, [earlier], 'another device has the same hardware identifier');
  await tx`
    update device set state = 'authenticated', suspended_at = clock_timestamp(), suspended_by = ${newcomer}
     where id = ${earlier}`;
  const [was, is] = [await describe(tx, earlier), await describe(tx, newcomer)];
  await recordEvent(tx, {
    kind: 'device-suspended',
    subject: earlier,
    message:
      `${is} has the hardware identifier of ${was}, so the earlier enrolment is suspended and is sent nothing. If the device was ` +
      `wiped or replaced, there is nothing to do: that enrolment ends in ${suspensionDays} days, or now by ` +
      `\`bramble device remove ${earlier}\`.`,
    detail: { suspended: earlier, by: newcomer },
  });
}

/**
 * Suspended enrolments of the instance's accounts whose certificate opened a tunnel since, by their path tokens; at
 * most `maxSuspended`. Relies on device_suspended and device_heard_pkey; no lock, since resuming one checks again.
 */
export async function listHeard(q: Queryable, instanceId: InstanceId): Promise<string[]> {
  const rows = await q<{ token: string }[]>`
    select d.token from device d
      join device_heard h on h.device_id = d.id and h.heard_at > d.suspended_at
      join account a on a.id = d.account_id and a.instance_id = ${instanceId}
     where ${isSuspended(q, 'd')}
     limit ${maxSuspended}`;
  return rows.map(({ token }) => token);
}

/**
 * The key of a suspended enrolment was seen: resumes it in its earlier state. Returns whether it is active again (then
 * the deliveries it missed are due), only resumed, or had not been suspended. Under the account fence.
 */
export async function takeBack(
  tx: Transaction,
  deviceId: DeviceId,
): Promise<'active' | 'authenticated' | 'not-suspended'> {
  const [row] = await tx<{ state: 'active' | 'authenticated'; rival: DeviceId | null }[]>`
    update device d
       set state = case when ${column(tx, 'wakeSecret', 'd')} is null then 'authenticated' else 'active' end, suspended_at = null,
           last_seen_at = clock_timestamp()
     where d.id = ${deviceId} and ${isSuspended(tx, 'd')}
    returning d.state, d.suspended_by as rival`;
  if (row === undefined) return 'not-suspended';
  await noteAnswer(tx, deviceId, row.rival);
  return row.state;
}

/** From now on existing enrolments do not suspend this one any more. */
async function noteAnswer(tx: Transaction, deviceId: DeviceId, rival: DeviceId | null): Promise<void> {
  await tx`
    update device set returned_at = clock_timestamp(), suspended_by = ${rival} where id = ${deviceId}`;
  const [own, other] = [await describe(tx, deviceId), rival === null ? undefined : await describe(tx, rival)];
  await recordEvent(tx, {
    kind: 'device-contested',
    subject: deviceId,
    message:
      `${own} still answers with its own key, although ${other ?? 'another device'} enrolled with the same hardware identifier later. Both ` +
      'are served. One of them is not that device: find out which, and remove it with `bramble device remove`.',
    detail: { device: deviceId, rival },
  });
}

async function describe(q: Queryable, deviceId: DeviceId): Promise<string> {
  const [row] = await q<{ account: string; serialNumber: string | null }[]>`
    select a.name as account, d.serial_number as "serialNumber" from device d join account a on a.id = d.account_id
     where d.id = ${deviceId}`;
  if (row === undefined) return `the enrolment ${deviceId}, which is gone,`;
  const serial = row.serialNumber === null ? '' : `, serial number ${row.serialNumber}`;
  return `the enrolment ${deviceId} (account ${row.account}${serial})`;
}

/**
 * Ends enrolments suspended for `suspensionDays` and not seen since; at most 50 per call. Relies on device_suspended.
 */
export async function endSuspended(tx: Transaction, instanceId: InstanceId): Promise<number> {
  const over = await tx<{ id: DeviceId }[]>`
    with over as materialized (
      select d.id, d.account_id from device d
       where ${isSuspended(tx, 'd')} and greatest(d.suspended_at, d.last_seen_at)
               < clock_timestamp() - make_interval(days => ${suspensionDays})
         and exists (select 1 from account a where a.id = d.account_id and a.instance_id = ${instanceId})
       limit 50
    ), fence as materialized (
      ${fencedAccounts(tx, instanceId, tx`select o.account_id from over o`)}
    )
    select o.id from over o join fence f on f.id = o.account_id`;
  const ids = over.map((row) => row.id);
  await endEnrolments(tx, ids, 'another device has taken its place');
  for (const id of ids) {
    await recordEvent(tx, {
      kind: 'device-ended',
      subject: id,
      message: `${await describe(tx, id)} was suspended for ${suspensionDays} days and has ended.`,
    });
  }
  return ids.length;
}
