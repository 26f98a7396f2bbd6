/**
 * The idle statement: for a batch of devices that bring no answer, it serves those with an empty queue completely. This
 * is the most common request, and costs a fraction of the connect statement, which serves the rest.
 *
 * Protects invariant 1 (fence) as the connect statement does: it writes no account that a move holds or that belongs to
 * another instance. Relies on device_token_key, account_pkey and command_pending.
 *
 * Only the time a device was last seen is written, so the commit does not wait for the disk: a database crash loses the
 * latest of it, and nothing else. A device with a queued command is left untouched: its session starts in the connect
 * statement.
 */

import { fencedAccounts } from '../accounts/account-fence.ts';
import type { AccountId, DeviceId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import { commandStates } from '../states/command-states.ts';
import { enrolmentNameText } from '../states/stored-names.ts';

/** The requesting device and its proof of identity. */
export interface Asking {
  token: string;
  /** SHA-256 of the identity certificate that the request proved, hex. */
  fingerprint: string;
  /** Whether it was proven in TLS, not only by a signature. */
  overTls: boolean;
  /** The device's name for itself in the request; null if that cannot be read. */
  enrolment: string | null;
}

type Refusal = 'wrong-identity' | 'another-enrolment' | 'tls-required' | 'not-active';

export interface Asked {
  n: number;
  deviceId: DeviceId | null;
  accountId: AccountId | null;
  refusal: Refusal | null;
  /** The fence was taken. */
  owned: boolean;
  owner: SrpIdentifier | null;
  ownedHere: boolean | null;
}

interface Idling extends Asked {
  /** A command is queued: the connect statement has to serve it. */
  awaited: boolean;
}

/** Why request `r` is not served as device `d`, as SQL; null when it is. */
export const refusalOfRequest = `
  case when d.identity_fingerprint is distinct from r.fingerprint then 'wrong-identity'
       when lower(${enrolmentNameText('d')}) <> lower(r.enrolment) then 'another-enrolment'
       when d.tls_required_at is not null and not r.over_tls then 'tls-required'
       when d.state <> 'active' then 'not-active' end`;

/** Of command `c`. Made once, like the text above: the statement is built for every batch. */
const pendingCommand = commandStates.text('pending', 'c');

/** At most one request of each device in a batch. Rows are in the order of the requests. */
export async function serveIdle(
  db: Database,
  instanceId: InstanceId,
  requests: readonly Asking[],
): Promise<readonly Idling[]> {
  // Booleans are sent as text, since the driver takes an array of them for one.
  return await db<Idling[]>`
    with found as materialized (
      select r.n::int as n, d.id as device_id, d.account_id, ${db.unsafe(refusalOfRequest)} as refusal,
             exists (select 1 from command c
                      where c.device_id = d.id and ${db.unsafe(pendingCommand)}) as awaited
        from unnest(${requests.map((r) => r.token)}::text[], ${requests.map((r) => r.fingerprint)}::text[],
                    ${requests.map((r) => String(r.overTls))}::text[]::boolean[], ${requests.map((r) => r.enrolment)}::text[])
             with ordinality as r(token, fingerprint, over_tls, enrolment, n)
        left join device d on d.token = r.token
    ), fence as materialized (
      ${fencedAccounts(db, instanceId, db`select distinct f.account_id from found f where f.refusal is null and not f.awaited`)}
    ), seen as (
      update device d set last_seen_at = statement_timestamp(), session = d.session + 1
        from found f join fence on fence.id = f.account_id
       where d.id = f.device_id and f.refusal is null and not f.awaited
    ), lazily as materialized (
      select set_config('synchronous_commit', 'off', true) where not exists (select 1 from found f where f.awaited)
    )
    select f.n, f.device_id as "deviceId", f.account_id as "accountId", f.refusal, f.awaited,
           fence.id is not null and f.refusal is null as owned,
           i.srp_identifier as owner, a.instance_id = ${instanceId} as "ownedHere"
      from found f cross join (select count(*) from lazily) asked_for
      left join fence on fence.id = f.account_id
      left join account a on a.id = f.account_id
      left join instance i on i.id = a.instance_id
     order by f.n`;
}
