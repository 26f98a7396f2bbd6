/**
 * The parts of the connect statement, in their order. Each is a list of `with` terms and uses those before it:
 *
 *   requests   → request, found, fence, fenced        whose device asks, and whether this instance may answer
 *   answers    → answered, first_command, given_up,   the device's answer, the delivery behind it, its permits
 *                settled, given_back
 *   permits    → wanting, …, granted, permits         for budgeted commands that are next
 *   hand-outs  → chosen, handed, out_now, told        the command that each device gets
 *   contact    → seen, lazy_commit                    what the device's row keeps of it
 *
 * All conditions on a target row are in its update, where they are rechecked on the newest version of the row. Texts
 * that take no parameters are made once: the statement is built for every batch.
 */
import { fencedAccounts } from '../accounts/account-fence.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database, SqlFragment } from '../database/connection.ts';
import { eventsRecorded } from '../domain/events.ts';
import {
  commandStates,
  deliveryStateAfter,
  notPostponed,
  postponed,
  stateAfterAnswer,
} from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import type { ConnectRequest } from './connect-request.ts';
import { refusalOfRequest } from './idle-statement.ts';
import { givenUpFailure, handOutsShown, maxHandOuts } from './unanswered-commands.ts';

/** In PostgreSQL's `format`: request type, command, count, device. */
const unansweredEvent =
  '%1$s %2$s was handed to device %4$s %3$s times without an answer. `bramble device cancel %4$s --handed-out` ' +
  'cancels it.';
const givenUpEvent = '%1$s %2$s was handed to device %4$s %3$s times without a readable answer, and has failed.';

const pendingCommand = commandStates.text('pending', 'c');
const carriedDelivery = deliveryStates.text('carried', 'd');

/**
 * Bounds the row of a device that reports new facts with every answer: past the limit the newest answer replaces all.
 */
const maxStoredInventoryBytes = 512 * 1024;

/** Devices by their tokens, and the accounts that are this instance's, locked as {@link fencedAccounts} does. */
export function requestTerms(db: Database, instanceId: InstanceId, requests: readonly ConnectRequest[]): SqlFragment {
  // If all are idle, the answer columns are left empty: unnest pads shorter arrays with null. Booleans are sent as
  // text, since the driver takes an array of them for one.
  const answers = requests.some((request) => request.status !== 'idle') ? requests : [];
  return db`request as materialized (
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
    )`;
}

/** Records answers and gives up what was handed out too often; settles their deliveries and releases their permits. */
export function answerTerms(db: Database, instanceId: InstanceId): SqlFragment {
  return db`answered as (
      update command c
         set state = ${db.unsafe(stateAfterAnswer('f.status'))},
             answered_at = statement_timestamp(), answered_instance = ${instanceId}, answered_epoch = f.epoch,
             answer = f.answer, tried_session = f.session, unanswered = 0
        from fenced f
       where c.id = f.command_id and c.device_id = f.device_id and f.status <> 'idle'
         and ${db.unsafe(pendingCommand)}
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
         set state = ${db.unsafe(deliveryStateAfter('w.state'))},
             settled_at = case when ${db.unsafe(notPostponed('w'))} then clock_timestamp() end,
             failure = case w.state when 'error' then 'the device answered with an error'
                                    when 'given-up' then ${givenUpFailure} end
        from (select delivery_id, state from answered union all select delivery_id, 'given-up' from given_up) w
       where d.id = w.delivery_id and ${db.unsafe(carriedDelivery)}
      returning d.id, d.device_id, d.item, d.revision, d.state
    ), given_back as (
      update delivery_permit p set delivery_id = null, taken_at = null
        from settled s where p.delivery_id = s.id
    )`;
}

/** A permit of the instance and one of the domain for each budgeted command, as long as there are both. */
export function permitTerms(db: Database, instanceId: InstanceId): SqlFragment {
  return db`wanting as materialized (
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
    )`;
}

/** Hands out the first command, or without its permits the first other one, and tells of those that go unanswered. */
export function handOutTerms(db: Database, instanceId: InstanceId): SqlFragment {
  return db`chosen as materialized (
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
       where c.id = h.id and ${db.unsafe(pendingCommand)}
         and (h.permitted or not c.budgeted or c.state = 'sent')
      returning h.n, c.id, c.body, c.delivery_id, c.device_id, c.request_type, c.unanswered
    ), out_now as (
      update delivery d set state = 'handed-out', handed_out_at = clock_timestamp()
        from handed h where d.id = h.delivery_id and d.state = 'released'
    ), told as (${eventsRecorded(
      db,
      db`
      select 'command-unanswered', h.device_id::text, format(${unansweredEvent}, h.request_type, h.id, h.unanswered, h.device_id)
        from handed h where h.unanswered = ${handOutsShown}
      union all
      select 'command-given-up', g.device_id::text, format(${givenUpEvent}, g.request_type, g.id, g.unanswered, g.device_id)
        from given_up g`,
    )})`;
}

/** The device's row. A batch that changed nothing else does not wait for the disk. */
export function contactTerms(db: Database): SqlFragment {
  return db`seen as (
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
    )`;
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
    (${pending} and ${postponed('c')} order by c.tried_session, c.urgent desc, c.sequence limit 1)
    limit 1`;
}

const firstCommand = nextCommand();
/** In addition to the first one, and without a permit. */
const otherCommand = nextCommand("and (not c.budgeted or c.state = 'sent') and c.id <> f.id");

function json(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}
