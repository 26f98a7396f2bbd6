/**
 * The connect statement: everything that a batch of device connects does to the database, in one round trip.
 *
 * For each request it finds the device, takes the account fence (SKIP LOCKED: a moving account delays nobody), records
 * the device's answer, settles the delivery behind it and releases its permits, chooses the next command, takes permits
 * if that command is budgeted, and hands it out. Each row has its own outcome. connect-statement-parts.ts has its terms.
 *
 * Protects invariants 1 (fence), 5 (a budgeted command leaves only with one permit of its instance and one of the
 * domain) and 6 (an answer counts once: only a pending command accepts one).
 *
 * Which command is next: an idle device starts a session, and no command is handed out twice in a session. Postponed
 * commands come last, so that none blocks another, and so that *later* is a locked device's last answer: only then does
 * it retry by itself (wake-store.ts wakes it for the others). A command handed out `maxHandOuts` times without a
 * readable answer is given up at the next contact and blocks nothing any more.
 *
 * Relies on device_token_key, account_pkey, command_pending, command_pkey, delivery_pkey, delivery_permit_pkey and
 * delivery_permit_delivery. When a batch brought no answer and handed out no command, only the time the devices were
 * last seen is written, and the commit does not wait for the disk: only a database crash loses the latest of it.
 */
import type { AccountId, CommandId, DeviceId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import { notPostponed } from '../states/command-states.ts';
import type { ConnectRequest } from './connect-request.ts';
import { answerTerms, contactTerms, handOutTerms, permitTerms, requestTerms } from './connect-statement-parts.ts';
import { type Asked, serveIdle } from './idle-statement.ts';

export type ConnectOutcome =
  /** `command` is the answer, or null when there is nothing to do. */
  | {
      kind: 'served';
      accountId: AccountId;
      deviceId: DeviceId;
      command: Buffer | null;
      commandId: CommandId | null;
      /** The device answered the removal of its enrolment. */
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
  const rows = await db<ConnectRow[]>`
    with ${requestTerms(db, instanceId, requests)}, ${answerTerms(db, instanceId)}, ${permitTerms(db, instanceId)}, ${handOutTerms(db, instanceId)}, ${contactTerms(db)}
    select r.n, f.device_id as "deviceId", f.account_id as "accountId", f.refusal,
           e.n is not null as owned, i.srp_identifier as owner, a.instance_id = ${instanceId} as "ownedHere",
           h.id as "commandId", h.body as command,
           coalesce(${db.unsafe(notPostponed('k'))} and k.id = f.removal_command_id, false) as leaves,
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
