/**
 * The connect statement: everything that a batch of device connects does to the database, in one round trip.
 *
 * For each request it finds the device, takes the account fence (SKIP LOCKED: a moving account delays nobody), records
 * the device's answer, settles the delivery behind it and releases its permits, chooses the next command, takes permits
 * if that command is budgeted, and hands it out. Each row has its own outcome.
 *
 * Protects invariants 1 (fence), 5 (a budgeted command leaves only with one permit of its instance and one of the
 * domain) and 6 (an answer counts once: only a pending command accepts one).
 *
 * Which command is next: an idle device starts a session, and no command is handed out twice in a session. Postponed
 * commands come last, so that none blocks another, and so that *later* is a locked device's last answer: only then does
 * it retry by itself (wake-store.ts wakes it for the others). A command handed out {@link maxHandOuts} times without a
 * readable answer is given up at the next contact and blocks nothing any more.
 *
 * Relies on device_token_key, account_pkey, command_pending, command_pkey, delivery_pkey, delivery_permit_pkey and
 * delivery_permit_delivery. When a batch brought no answer and handed out no command, only the time the devices were
 * last seen is written, and the commit does not wait for the disk: only a database crash loses the latest of it. All
 * conditions on a target row are in its update, where they are rechecked on the newest version of the row.
 */

import { fencedAccounts } from '../accounts/account-fence.ts';
import type { AccountId, CommandId, DeviceId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import type { CommandReport } from '../platforms/device-message.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { type Asked, type Asking, refusalOfRequest, serveIdle } from './idle-statement.ts';
import { givenUpFailure, handOutsShown, maxHandOuts } from './unanswered-commands.ts';

/** A device's request, as an entry of a batch. */
export interface ConnectRequest extends Asking {
  status: CommandReport['status'];
  commandId: CommandId | null;
  /** The part of the answer to store, as JSON; null for an idle device. */
  answer: object | null;
  /** Stored instead if the database refuses that. */
  bareAnswer?: object;
  /** Inventory and device options in the answer, as JSON. */
  inventory: object | null;
  options: object | null;
  /** Request type of the commands whose answers may contain them. */
  inventoryRequest?: string;
}

export type ConnectOutcome =
  /** `command` is the answer, or null when there is nothing to do. */
  | {
      kind: 'served';
      accountId: AccountId;
      deviceId: DeviceId;
      command: Buffer | null;
      commandId: CommandId | null;
      /** The device answered the removal of its enrolment profile. */
      leaves: boolean;
    }
  /** A move has locked the account: retry this row on its own. */
  | { kind: 'moving' }
  | { kind: 'not-owner'; owner: SrpIdentifier }
  | { kind: 'unknown-device' }
  /** The certificate is not this enrolment's. */
  | { kind: 'wrong-identity' }
  /** The name is not this enrolment's. */
  | { kind: 'another-enrolment'; deviceId: DeviceId }
  /** The enrolment has to prove its identity in TLS. */
  | { kind: 'tls-required'; deviceId: DeviceId }
  /** No longer enrolled, or not yet. */
  | { kind: 'not-active' };

interface ConnectRow extends Asked {
  commandId: CommandId | null;
  command: Buffer | null;
  leaves: boolean;
}

/** In PostgreSQL's `format`: request type, command, count, device. */
const unansweredEvent =
  '%1$s %2$s was handed to device %4$s %3$s times without an answer. `bramble device cancel %4$s --handed-out` ' +
  'cancels it.';
const givenUpEvent = '%1$s %2$s was handed to device %4$s %3$s times without a readable answer, and has failed.';

/**
 * Bounds the row of a device that reports new facts with every answer: past the limit the newest answer replaces all.
 */
const maxStoredInventoryBytes = 512 * 1024;

/**
 * At most one request of each device in a batch. Outcomes are in the order of the requests. A batch of idle devices
 * goes through the idle statement first; only those with a queued command come here.
 */
export async function connectDevices(
  db: Database,
  instanceId: InstanceId,
  requests: readonly ConnectRequest[],
): Promise<ConnectOutcome[]> {
  if (requests.some((request) => request.status !== 'idle')) return await serve(db, instanceId, requests);
  const idling = await serveIdle(db, instanceId, requests);
  const awaited = requests.filter((_, index) => idling[index]?.awaited);
  const served = awaited.length === 0 ? [] : await serve(db, instanceId, awaited);
  return idling.flatMap((row) =>
    row.awaited ? served.splice(0, 1) : outcomeOf({ ...row, commandId: null, command: null, leaves: false }),
  );
}

async function serve(
  db: Database,
  instanceId: InstanceId,
  requests: readonly ConnectRequest[],
): Promise<ConnectOutcome[]> {
  // If all are idle, the answer columns are left empty: unnest pads shorter arrays with null. Booleans are sent as
  // text, since the driver takes an array of them for one.
  const answers = requests.some((request) => request.status !== 'idle') ? requests : [];
  const rows = await db<ConnectRow[]>`
    with request as materialized (
      select n::int as n, token, fingerprint, over_tls, enrolment, coalesce(status, 'idle') as status, command_id,
             answer::jsonb as answer, inventory::jsonb as inventory, options::jsonb as options, inventory_request
        from unnest(${requests.map((r) => r.token)}::text[], ${requests.map((r) => r.fingerprint)}::text[],
                    ${requests.map((r) => String(r.overTls))}::text[]::boolean[], ${requests.map((r) => r.enrolment)}::text[],
                    ${answers.map((r) => r.status)}::text[], ${answers.map((r) => r.commandId)}::uuid[],
                    ${answers.map((r) => json(r.answer))}::text[], ${answers.map((r) => json(r.inventory))}::text[],
                    ${answers.map((r) => json(r.options))}::text[],
                    ${answers.map((r) => r.inventoryRequest ?? null)}::text[])
             with ordinality as r(token, fingerprint, over_tls, enrolment, status, command_id, answer, inventory, options, inventory_request, n)
    ), found as materialized (
      select r.n, d.id as device_id, d.account_id, d.removal_command_id, r.status, r.command_id,
             r.answer, r.inventory, r.options, r.inventory_request, d.session + (r.status = 'idle')::int as session,
             ${db.unsafe(refusalOfRequest)} as refusal
        from request r join device d on d.token = r.token
    ), fence as materialized (
      ${fencedAccounts(db, instanceId, db`select distinct f.account_id from found f where f.refusal is null`)}
    ), fenced as materialized (
      select f.n, f.device_id, f.account_id, f.status, f.command_id, f.answer, f.inventory, f.options, f.inventory_request, f.session, fence.epoch
        from found f join fence on fence.id = f.account_id
       where f.refusal is null
    ), answered as (
      update command c
         set state = case f.status when 'done' then 'acknowledged' when 'later' then 'not-now' else 'error' end,
             answered_at = statement_timestamp(), answered_instance = ${instanceId}, answered_epoch = f.epoch,
             answer = f.answer, tried_session = f.session, unanswered = 0
        from fenced f
       where c.id = f.command_id and c.device_id = f.device_id and f.status <> 'idle'
         and ${commandStates.in(db, 'pending', 'c')}
      returning c.delivery_id, c.state, c.device_id, c.request_type, c.id, f.n
    ), first_command as materialized (
      select f.n, f.epoch, f.session, f.device_id, f.command_id, c.id, c.delivery_id, c.given_up,
             c.budgeted and c.state <> 'sent' as needs_permit
        from fenced f cross join lateral (${db.unsafe(firstCommand)}) c
    ), given_up as (
      update command c
         set state = 'error', answered_at = statement_timestamp(), answered_instance = ${instanceId},
             answered_epoch = g.epoch, answer = coalesce(c.answer, '{}') || jsonb_build_object('unanswered', c.unanswered)
        from first_command g
       where c.id = g.id and g.given_up and c.state = 'sent' and c.unanswered >= ${maxHandOuts}
      returning c.id, c.delivery_id, c.device_id, c.request_type, c.unanswered, g.n
    ), settled as (
      update delivery d
         set state = case w.state when 'acknowledged' then 'done' when 'not-now' then 'released' else 'failed' end,
             settled_at = case when w.state <> 'not-now' then clock_timestamp() end,
             failure = case w.state when 'error' then 'the device answered with an error'
                                    when 'given-up' then ${givenUpFailure} end
        from (select delivery_id, state from answered union all select delivery_id, 'given-up' from given_up) w
       where d.id = w.delivery_id and ${deliveryStates.in(db, 'carried', 'd')}
      returning d.id, d.device_id, d.item, d.revision, d.state
    ), given_back as (
      update delivery_permit p set delivery_id = null, taken_at = null
        from settled s where p.delivery_id = s.id
    ), wanting as materialized (
      select n, delivery_id, row_number() over (order by n) as k from first_command where needs_permit
    ), instance_permit as materialized (
      select number, row_number() over (order by number) as k from (
        select number from delivery_permit
         where scope = ${instanceId} and number > 0 and delivery_id is null and exists (select 1 from wanting)
         order by number limit (select count(*) from wanting) for update skip locked) free
    ), domain_permit as materialized (
      select number, row_number() over (order by number) as k from (
        select number from delivery_permit
         where scope = 'domain' and number > 0 and delivery_id is null and exists (select 1 from wanting)
         order by number limit (select count(*) from instance_permit) for update skip locked) free
    ), granted as materialized (
      select w.n, w.delivery_id, i.number as instance_number, d.number as domain_number
        from wanting w join instance_permit i on i.k = w.k join domain_permit d on d.k = w.k
    ), permits as (
      update delivery_permit p set delivery_id = t.delivery_id, taken_at = clock_timestamp()
        from (select delivery_id, ${instanceId}::text as scope, instance_number as number from granted
              union all select delivery_id, 'domain', domain_number from granted) t
       where p.scope = t.scope and p.number = t.number
    ), chosen as materialized (
      select c.n, c.epoch, c.session, c.id, c.needs_permit as permitted from first_command c
       where not c.given_up and (not c.needs_permit or c.n in (select n from granted))
      union all
      select f.n, f.epoch, f.session, u.id, false
        from first_command f cross join lateral (${db.unsafe(otherCommand)}) u
       where (f.given_up or f.needs_permit and f.n not in (select n from granted)) and not u.given_up
    ), handed as (
      update command c
         set state = 'sent', sent_at = clock_timestamp(), sent_count = c.sent_count + 1,
             sent_instance = ${instanceId}, sent_epoch = h.epoch, tried_session = h.session, unanswered = c.unanswered + 1
        from chosen h
       where c.id = h.id and ${commandStates.in(db, 'pending', 'c')}
         and (h.permitted or not c.budgeted or c.state = 'sent')
      returning h.n, c.id, c.body, c.delivery_id, c.device_id, c.request_type, c.unanswered
    ), out_now as (
      update delivery d set state = 'handed-out', handed_out_at = clock_timestamp()
        from handed h where d.id = h.delivery_id and d.state = 'released'
    ), told as (
      insert into event (kind, subject, message)
      select 'command-unanswered', h.device_id::text, format(${unansweredEvent}, h.request_type, h.id, h.unanswered, h.device_id)
        from handed h where h.unanswered = ${handOutsShown}
      union all
      select 'command-given-up', g.device_id::text, format(${givenUpEvent}, g.request_type, g.id, g.unanswered, g.device_id)
        from given_up g
    ), seen as (
      update device d
         set last_seen_at = statement_timestamp(), session = f.session,
             inventory = case when k.n is null or f.inventory is null then d.inventory
                              when pg_column_size(d.inventory) > ${maxStoredInventoryBytes} then f.inventory
                              else d.inventory || f.inventory end,
             options = case when k.n is null or f.options is null then d.options else d.options || f.options end,
             synchronized_at = case when k.n is null or f.inventory is null then d.synchronized_at
                                    else clock_timestamp() end,
             applied_policy_revision = coalesce((select s.revision from settled s
               where s.device_id = d.id and s.item = 'it-policy' and s.state = 'done'), d.applied_policy_revision),
             applied_books_revision = coalesce((select s.revision from settled s
               where s.device_id = d.id and s.item = 'service-books' and s.state = 'done'), d.applied_books_revision)
        from fenced f left join answered k on k.n = f.n and k.request_type = f.inventory_request
       where d.id = f.device_id
    ), lazy_commit as materialized (
      select set_config('synchronous_commit', 'off', true)
       where not exists (select 1 from handed) and not exists (select 1 from given_up)
         and not exists (select 1 from request q where q.status <> 'idle')
    )
    select r.n, f.device_id as "deviceId", f.account_id as "accountId", f.refusal,
           e.n is not null as owned, i.srp_identifier as owner, a.instance_id = ${instanceId} as "ownedHere",
           h.id as "commandId", h.body as command,
           coalesce(k.state <> 'not-now' and k.id = f.removal_command_id, false) as leaves,
           (select count(*) from lazy_commit) = 1 as idle
      from request r
      left join found f on f.n = r.n
      left join fenced e on e.n = r.n
      left join account a on a.id = f.account_id
      left join instance i on i.id = a.instance_id
      left join handed h on h.n = r.n
      left join answered k on k.n = r.n
     order by r.n`;
  return rows.map(outcomeOf);
}

/**
 * The next command of `f` of fenced, by command_pending: the first that is queued or was lost in transit; only if there
 * is none, a postponed one (Append evaluates its second part when the first is empty), the least recently tried first.
 * Otherwise, with a single slot, the first would take it in every session and return it too late for the next. A text
 * without parameters, since the statement is built for every batch.
 */
function nextCommand(condition = ''): string {
  const pending = `
    select c.id, c.delivery_id, c.budgeted, c.state, c.state = 'sent' and c.unanswered >= ${maxHandOuts} as given_up
      from command c
     where c.device_id = f.device_id and c.id is distinct from f.command_id
       and (c.sent_at is null or c.tried_session < f.session) ${condition}`;
  return `
    (${pending} and ${commandStates.text('next', 'c')} order by c.urgent desc, c.sequence limit 1)
    union all
    (${pending} and c.state = 'not-now' order by c.tried_session, c.urgent desc, c.sequence limit 1)
    limit 1`;
}

const firstCommand = nextCommand();
/** In addition to the first one, and without a permit. */
const otherCommand = nextCommand("and (not c.budgeted or c.state = 'sent') and c.id <> f.id");

function outcomeOf(row: ConnectRow): ConnectOutcome {
  if (row.deviceId === null || row.accountId === null) return { kind: 'unknown-device' };
  if (row.owned) {
    const { accountId, deviceId, command, commandId, leaves } = row;
    return { kind: 'served', accountId, deviceId, command, commandId, leaves };
  }
  // Ownership is checked before identity: only the owner can judge that.
  if (!row.ownedHere && row.owner) return { kind: 'not-owner', owner: row.owner };
  if (row.refusal === 'another-enrolment' || row.refusal === 'tls-required') {
    return { kind: row.refusal, deviceId: row.deviceId };
  }
  return { kind: row.refusal ?? 'moving' };
}

function json(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
