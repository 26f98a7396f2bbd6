/** Devices as administrators see them. No token, wake address or certificate leaves here. */
import type { Device, DeviceDetails } from '../api/devices.ts';
import type { Queryable } from '../database/connection.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { isSuspended } from '../states/device-states.ts';
import { column } from '../states/stored-names.ts';
import { identityRenewal, type RenewalFacts, renewalFacts } from './renewal-report.ts';
import { handOutsShown } from './unanswered-commands.ts';

export interface DeviceFilter {
  account?: string | undefined;
  state?: string | undefined;
  /** Only devices with unanswered commands. */
  unanswered?: boolean | undefined;
  /** Only devices with another wake channel. */
  mustEnrolAgain?: boolean | undefined;
  /** Only active devices whose identity expires within this many days, or has expired. */
  identityEndsWithinDays?: number | undefined;
  /** Id of the last one of the previous page. */
  after?: string | undefined;
  limit: number;
}

/** By id, through device_pkey; counts through command_pending and delivery_device. */
export async function listDevices(q: Queryable, filter: DeviceFilter): Promise<Device[]> {
  const rows = await q<Stored<Device>[]>`
    select ${columns(q)}
      from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
     where (${filter.account ?? null}::text is null or a.name = ${filter.account ?? null})
       and (${filter.state ?? null}::text is null or ${shownState(q)} = ${filter.state ?? null})
       and (not ${filter.unanswered ?? false} or exists (${unanswered(q)}))
       and (not ${filter.mustEnrolAgain ?? false} or ${mustEnrolAgain(q)})
       and (${filter.identityEndsWithinDays ?? null}::float8 is null or d.state = 'active'
            and d.identity_expires_at < now() + make_interval(secs => ${(filter.identityEndsWithinDays ?? 0) * 86_400}))
       and (${filter.after ?? null}::uuid is null or d.id > ${filter.after ?? null})
     order by d.id
     limit ${filter.limit}`;
  return await shown(q, rows);
}

export async function findDevice(q: Queryable, id: string): Promise<DeviceDetails | undefined> {
  const rows = await q<Stored<DeviceDetails>[]>`
    select ${columns(q)}, d.options, d.inventory
      from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
     where d.id = ${id}`;
  return (await shown(q, rows))[0];
}

type Stored<Row> = Omit<Row, 'identityRenewal'> & { renewal: RenewalFacts };

async function shown<Row extends Device>(q: Queryable, rows: readonly Stored<Row>[]): Promise<Row[]> {
  const settings = await readSetting(q, 'device-identity', identitySettingsSchema);
  return rows.map(({ renewal, ...row }) => {
    const { state } = row;
    const identity = state === 'active' ? identityRenewal(renewal, settings, new Date()) : null;
    return { ...row, identityRenewal: identity } as unknown as Row;
  });
}

/** With commands that were handed out often without an answer; by command_pending. */
export async function countUnansweredDevices(q: Queryable): Promise<number> {
  const [row] = await q<{ devices: number }[]>`
    select count(distinct device_id)::int as devices from command where state = 'sent' and unanswered >= ${handOutsShown}`;
  return row?.devices ?? 0;
}

/** Of device `d`. */
function unanswered(q: Queryable) {
  return q`select 1 from command c where c.device_id = d.id and c.state = 'sent' and c.unanswered >= ${handOutsShown}`;
}

function mustEnrolAgain(q: Queryable) {
  return q`d.state <> 'gone' and coalesce(${column(q, 'wakeChannel', 'd')} <> (select push_topic from domain), false)`;
}

function shownState(q: Queryable) {
  return q`case when ${isSuspended(q, 'd')} then 'suspended'
                when d.state = 'active' and d.removing_since is not null then 'leaving' else d.state end`;
}

function columns(q: Queryable) {
  return q`
    d.id, a.name as account, i.name as instance, d.platform, ${shownState(q)} as state,
    case when ${isSuspended(q, 'd')} then d.suspended_at end as "suspendedAt", d.suspended_by as "suspendedBy",
    d.removing_since as "removingSince", d.tls_required_at as "tlsRequiredSince",
    coalesce((select r.repeats from device_repeat r where r.device_id = d.id), 0)::float8 as "repeatedMessages",
    (select r.repeated_at from device_repeat r where r.device_id = d.id) as "repeatedAt", d.udid, d.serial_number as "serialNumber", d.model,
    d.product, d.os_version as "osVersion", d.software_version as "softwareVersion", ${column(q, 'wakeState', 'd')} as "pushState",
    d.applied_policy_revision as "appliedPolicyRevision", d.applied_books_revision as "appliedBooksRevision",
    d.synchronized_at as "synchronizedAt", d.last_seen_at as "lastSeenAt",
    d.identity_expires_at as "identityExpiresAt", ${renewalFacts(q)} as renewal, d.created_at as "createdAt",
    (select count(*)::int from command c
      where c.device_id = d.id and ${commandStates.in(q, 'pending', 'c')}) as "pendingCommands",
    (select count(*)::int from (${unanswered(q)}) u) as "unansweredCommands",
    ${mustEnrolAgain(q)} as "mustEnrolAgain",
    (select count(*)::int from delivery v
      where v.device_id = d.id and ${deliveryStates.in(q, 'open', 'v')}) as "openDeliveries"`;
}
