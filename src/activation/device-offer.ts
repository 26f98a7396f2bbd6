/**
 * What an activation creates before any device is seen: a device's row (devices/offered-device.ts).
 *
 * Protects: one activation password brings at most one device under management. A download repeated before an identity
 * was issued gets the same row (same address, same challenge); one repeated later gets a fresh row, and the password's
 * unfinished row is gone.
 */
import { type FencedOutcome, withAccountFence } from '../accounts/account-fence.ts';
import type { AccountId } from '../base/ids.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { insertOffer, type OfferRequest, presentOffer } from '../devices/offered-device.ts';
import type { OfferedDevice } from '../platforms/enrolment.ts';

type OfferOutcome =
  | { readonly kind: 'offered'; readonly offer: OfferedDevice; readonly repeated: boolean }
  | { readonly kind: 'used-up' };

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
