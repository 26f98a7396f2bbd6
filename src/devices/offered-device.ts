/** The row of a device that was offered an enrolment: its address and its challenge, before the device is seen. */
import { randomBytes } from 'node:crypto';
import type { AccountId, InstanceId } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import type { OfferedDevice } from '../platforms/enrolment.ts';
import { deviceStates } from '../states/device-states.ts';

export interface OfferRequest {
  readonly accountId: AccountId;
  readonly instanceId: InstanceId;
  readonly platform: string;
}

/** Lifetime of an offer; a repeated download gets one with at least half of it left. */
export const offerValidHours = 24;

/** Of the password that was set then, if it has half of its time left; through index device_account. */
export async function presentOffer(
  tx: Transaction,
  request: OfferRequest,
  setAt: string,
): Promise<OfferedDevice | undefined> {
  const [row] = await tx<OfferedDevice[]>`
    select id as "deviceId", token, scep_challenge as challenge from device
    where account_id = ${request.accountId} and platform = ${request.platform} and state = 'offered'
      and created_at >= ${setAt}::timestamptz
      and created_at > clock_timestamp() - make_interval(hours => ${offerValidHours / 2})
    order by created_at desc
    limit 1`;
  return row;
}

/** Ends what that password has begun. Relies on the account row that `withAccountFence` holds FOR SHARE; index device_account. */
export async function insertOffer(tx: Transaction, request: OfferRequest, setAt: string): Promise<OfferedDevice> {
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
