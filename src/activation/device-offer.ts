/**
 * The device row that an activation creates, before any device is seen.
 *
 * Protects: one activation password brings at most one device under management. A download repeated before an identity
 * was issued gets the same row (same address, same challenge); one repeated later gets a fresh row, and the password's
 * unfinished row is gone.
 */
import { randomBytes } from 'node:crypto';
import { type FencedOutcome, withAccountFence } from '../accounts/account-fence.ts';
import type { AccountId, InstanceId } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Database, Transaction } from '../database/connection.ts';
import type { OfferedDevice } from '../platforms/enrolment.ts';
import { deviceStates } from '../states/device-states.ts';

export interface OfferRequest {
  readonly accountId: AccountId;
  readonly instanceId: InstanceId;
  readonly platform: string;
}

export type OfferOutcome =
  | { readonly kind: 'offered'; readonly offer: OfferedDevice; readonly repeated: boolean }
  | { readonly kind: 'used-up' };

/** Lifetime of an offer; a repeated download gets one with at least half of it left. */
export const offerValidHours = 24;

/**
 * Creates or repeats the offer behind the account fence; `used-up` when the password has ended meanwhile. Concurrent
 * downloads are serialised by the password's row, which is locked in a statement before the one that looks for an
 * earlier offer. Not idempotent: a commit whose reply was lost leaves an offer that the next download repeats.
 */
export async function offerDevice(db: Database, request: OfferRequest): Promise<FencedOutcome<OfferOutcome>> {
  return await withAccountFence(db, request.accountId, request.instanceId, async (tx): Promise<OfferOutcome> => {
    const setAt = await lockPassword(tx, request.accountId);
    if (setAt === undefined) return { kind: 'used-up' };
    const repeated = await presentOffer(tx, request, setAt);
    if (repeated !== undefined) return { kind: 'offered', offer: repeated, repeated: true };
    return { kind: 'offered', offer: await insertOffer(tx, request, setAt), repeated: false };
  });
}

/** When the password was set, as text to keep the microseconds; undefined when there is no valid one. */
async function lockPassword(tx: Transaction, accountId: AccountId): Promise<string | undefined> {
  const [row] = await tx<{ setAt: string }[]>`
    select created_at::text as "setAt" from activation_password
    where account_id = ${accountId} and expires_at > clock_timestamp()
    for update`;
  return row?.setAt;
}

/** Through index device_account. */
async function presentOffer(tx: Transaction, request: OfferRequest, setAt: string): Promise<OfferedDevice | undefined> {
  const [row] = await tx<OfferedDevice[]>`
    select id as "deviceId", token, scep_challenge as challenge from device
    where account_id = ${request.accountId} and platform = ${request.platform} and state = 'offered'
      and created_at >= ${setAt}::timestamptz
      and created_at > clock_timestamp() - make_interval(hours => ${offerValidHours / 2})
    order by created_at desc
    limit 1`;
  return row;
}

/** Relies on the account row that `withAccountFence` holds FOR SHARE; index device_account. */
async function insertOffer(tx: Transaction, request: OfferRequest, setAt: string): Promise<OfferedDevice> {
  const [row] = await tx<OfferedDevice[]>`
    with unfinished as (
      update device d set state = 'gone'
      where d.account_id = ${request.accountId} and ${deviceStates.in(tx, 'enrolling', 'd')}
        and d.created_at >= ${setAt}::timestamptz
    )
    insert into device (id, account_id, token, platform, state, scep_challenge, created_at)
    values (${newId()}, ${request.accountId}, ${randomToken()}, ${request.platform}, 'offered', ${randomToken()},
      clock_timestamp())
    returning id as "deviceId", token, scep_challenge as challenge`;
  if (row === undefined) throw new TypeError('an insert answered no row');
  return row;
}

function randomToken(): string {
  return randomBytes(32).toString('base64url');
}
