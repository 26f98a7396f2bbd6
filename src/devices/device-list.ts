/** Devices as administrators see them. No token, wake address or certificate leaves here. */
import { type AccountChoice, type AccountConditions, chooseAccounts } from '../accounts/account-choice.ts';
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Device, DeviceDetails } from '../api/devices.ts';
import { type DeviceId, isUuid } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { type KeyColumn, type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { isSuspended } from '../states/device-states.ts';
import { column } from '../states/stored-names.ts';
import { lockAccountOf } from './device-fence.ts';
import { identityRenewal, type RenewalFacts, renewalFacts } from './renewal-report.ts';
import { handOutsShown } from './unanswered-commands.ts';

export type DeviceSort = 'id' | 'createdAt' | 'serialNumber' | 'model';

export interface DeviceFilter extends PageAsked<DeviceSort> {
  /** Only devices of these accounts. */
  accounts: AccountConditions;
  state?: string | undefined;
  platform?: string | undefined;
  /** Capital letters count as small ones, as for the version. */
  model?: string | undefined;
  /** Of the device's software, or of its operating system where it has not told that. */
  software?: string | undefined;
  /** Only devices with unanswered commands. */
  unanswered?: boolean | undefined;
  /** Only devices with another wake channel. */
  mustEnrolAgain?: boolean | undefined;
  /** Only active devices whose identity expires within this many days, or has expired. */
  identityEndsWithinDays?: number | undefined;
}

interface DevicePage {
  readonly devices: readonly Device[];
  readonly next: string | null;
}

const byId: KeyColumn = { kind: 'id', of: (q) => q`d.id` };

/** Of device `d`: by device_pkey, device_created, device_serial_number, device_model. */
const sorts: Sorts<DeviceSort> = {
  id: [byId],
  createdAt: [{ kind: 'time', of: (q) => q`d.created_at` }, byId],
  serialNumber: [{ kind: 'text', of: (q) => toldKey(q, q`d.serial_number`) }, byId],
  model: [{ kind: 'text', of: (q) => toldKey(q, q`d.model`) }, byId],
};

/** Counts through command_pending and delivery_device. */
export async function listDevices(q: Queryable, filter: DeviceFilter): Promise<DevicePage> {
  const choice = await chooseAccounts(q, filter.accounts);
  const page = pageOf(q, { name: 'devices', sorts }, filter, (id) =>
    filter.sort === 'id' && isUuid(id) ? [id] : undefined,
  );
  const { rows, next } = page.cut(
    await q<(Stored<Device> & Keyed)[]>`
      with page as materialized (
        select d.* from ${devicesOf(q, choice)} d
         where ${page.condition} and ${choice.remaining(q, q`d.account_id`)} and ${filtered(q, filter)}
         order by ${page.order()} limit ${page.most})
      select ${columns(q)}, ${page.keys} as keys
        from page d
        -- For each row, of which there are few: where nothing is known of them, a join would read all accounts.
        cross join lateral (select name, instance_id from account where id = d.account_id limit 1) a
        join instance i on i.id = a.instance_id
        ${counted(q)}
       order by ${page.order()}`,
  );
  return { devices: await shown(q, rows), next };
}

/** All devices, or those of a few accounts one by one: without statistics the planner would read all for these. */
export function devicesOf(q: Queryable, { few }: AccountChoice): SqlFragment {
  if (few === null) return q`device`;
  return q`(select own.* from (select distinct id from (${few(q)}) f) c
              cross join lateral (select * from device where account_id = c.id offset 0) own)`;
}

/** Each by an index of its own where few devices fit, but for the wake channel, which all of a domain share. */
function filtered(q: Queryable, filter: DeviceFilter): SqlFragment {
  const { state, platform, model, software, unanswered, mustEnrolAgain, identityEndsWithinDays: days } = filter;
  const parts = [
    ...(state === undefined ? [] : [inState(q, state)]),
    ...(platform === undefined ? [] : [q`d.platform = ${platform}`]),
    ...(model === undefined ? [] : [q`${toldKey(q, q`d.model`)} = ${toldKey(q, q`${model}::text`)}`]),
    ...(software === undefined ? [] : [q`${softwareKey(q)} = ${toldKey(q, q`${software}::text`)}`]),
    ...(unanswered ? [q`d.id = any(array(select c.device_id from command c where ${isUnanswered(q)}))`] : []),
    ...(mustEnrolAgain ? [mustEnrolAgainNow(q)] : []),
    ...(days === undefined
      ? []
      : [q`d.state = 'active' and d.identity_expires_at < now() + make_interval(secs => ${days * 86_400})`]),
  ];
  return parts.reduce((all, part) => q`${all} and ${part}`, q`true`);
}

/** The same in any database; long texts of devices would not fit into an index. */
export function toldKey(q: Queryable, told: SqlFragment): SqlFragment {
  return q`lower(left(coalesce(${told}, ''), 100) collate "C")`;
}

function softwareKey(q: Queryable): SqlFragment {
  return toldKey(q, q`coalesce(d.software_version, d.os_version)`);
}

export async function findDevice(q: Queryable, id: string): Promise<DeviceDetails | undefined> {
  const rows = await q<Stored<DeviceDetails>[]>`
    select ${columns(q)}, d.options, d.inventory
      from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
      ${counted(q)}
     where d.id = ${id}`;
  return (await shown(q, rows))[0];
}

/** The same, as it stays until the transaction ends. */
export async function lockedDevice(tx: Transaction, id: DeviceId): Promise<DeviceDetails | undefined> {
  await lockAccountOf(tx, tx`d.id = ${id}`, 'no key update');
  return await findDevice(tx, id);
}

type Stored<Row> = Omit<Row, 'identityRenewal'> & { renewal: RenewalFacts };

async function shown<Row extends Device>(q: Queryable, rows: readonly Stored<Row>[]): Promise<Row[]> {
  const settings = await readSetting(q, 'device-identity', identitySettingsSchema);
  const now = new Date();
  return rows.map((row) => {
    const identity = row.state === 'active' ? identityRenewal(row.renewal, settings, now) : null;
    // Rows are not copied: a page has thousands of values.
    return Object.assign(row, { identityRenewal: identity }) as unknown as Row;
  });
}

/** How many there are in each state, those that are gone left out. Reads the table once. */
export async function countDevicesByState(q: Queryable): Promise<{ state: string; count: number }[]> {
  const rows = await q<{ state: string; count: number }[]>`
    select s.state, count(*)::int as count
      from (select ${shownState(q)} as state from device d where d.state <> 'gone') s
     group by s.state order by s.state`;
  return [...rows];
}

/** With commands that were handed out often without an answer, of accounts that are seen; by command_pending. */
export async function countUnansweredDevices(q: Queryable, within: Within = null): Promise<number> {
  const [row] = await q<{ devices: number }[]>`
    select count(distinct c.device_id)::int as devices from command c
     where ${isUnanswered(q)} and ${isAccountWithin(q, q`c.account_id`, within)}`;
  return row?.devices ?? 0;
}

/** Of command `c`. */
function isUnanswered(q: Queryable) {
  return q`c.state = 'sent' and c.unanswered >= ${handOutsShown}`;
}

function mustEnrolAgainNow(q: Queryable) {
  return q`d.state <> 'gone' and coalesce(${column(q, 'wakeChannel', 'd')} <> (select push_topic from domain), false)`;
}

/** In words of the indexes that have the devices which are not simply active: few of a domain. */
function inState(q: Queryable, state: string): SqlFragment {
  if (state === 'suspended') return isSuspended(q, 'd');
  if (state === 'leaving') return q`d.state = 'active' and d.removing_since is not null`;
  if (state === 'active') return q`d.state = 'active' and d.removing_since is null`;
  return q`d.state <> 'active' and d.state = ${state} and not ${isSuspended(q, 'd')}`;
}

export function shownState(q: Queryable) {
  return q`case when ${isSuspended(q, 'd')} then 'suspended'
                when d.state = 'active' and d.removing_since is not null then 'leaving' else d.state end`;
}

/** What {@link columns} take of device `d` from further tables, row by row: of few rows, for which a join would read all. */
function counted(q: Queryable) {
  return q`
    left join lateral (
      select r.repeats, r.repeated_at from device_repeat r where r.device_id = d.id limit 1) repeated on true
    cross join lateral (
      select count(*)::int as pending, (count(*) filter (where ${isUnanswered(q)}))::int as unanswered from command c
       where c.device_id = d.id and ${commandStates.in(q, 'pending', 'c')}) commands`;
}

function columns(q: Queryable) {
  return q`
    d.id, a.name as account, i.name as instance, d.platform, ${shownState(q)} as state,
    case when ${isSuspended(q, 'd')} then d.suspended_at end as "suspendedAt", d.suspended_by as "suspendedBy",
    d.removing_since as "removingSince", d.tls_required_at as "tlsRequiredSince",
    coalesce(repeated.repeats, 0)::float8 as "repeatedMessages", repeated.repeated_at as "repeatedAt", d.udid, d.serial_number as "serialNumber", d.model,
    d.product, d.os_version as "osVersion", d.software_version as "softwareVersion", ${column(q, 'wakeState', 'd')} as "pushState",
    d.applied_policy_revision as "appliedPolicyRevision", d.applied_books_revision as "appliedBooksRevision",
    d.synchronized_at as "synchronizedAt", d.last_seen_at as "lastSeenAt",
    d.identity_expires_at as "identityExpiresAt", ${renewalFacts(q)} as renewal, d.created_at as "createdAt",
    commands.pending as "pendingCommands", commands.unanswered as "unansweredCommands",
    ${mustEnrolAgainNow(q)} as "mustEnrolAgain",
    (select count(*)::int from delivery v
      where v.device_id = d.id and ${deliveryStates.in(q, 'open', 'v')}) as "openDeliveries"`;
}
