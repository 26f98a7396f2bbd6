/**
 * The stored activation password of an account: one at a time, valid for a limited time and number of tries. Guesses
 * are checked in `password-checks.ts`; a completed enrolment consumes the password.
 */
import { lockAccountByName } from '../accounts/account-selection.ts';
import { maxActivationHours } from '../api/accounts.ts';
import { BrambleError } from '../base/errors.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { fencedAccountOf } from '../devices/device-fence.ts';
import { activationSelectorOf, digestActivationPassword, generateActivationPassword } from './activation-secret.ts';

const activationValidHoursDefault = 48;
export const activationTries = 5;

/** Shown once: the database keeps only its digest. */
interface IssuedActivationPassword {
  readonly password: string;
  readonly expiresAt: Date;
}

/**
 * Gives an account a new password with a full set of tries, replacing the earlier one. An administration write: it
 * locks the account row FOR SHARE without comparing the owner.
 * @throws BrambleError ERR_ACTIVATION_VALIDITY when `validHours` is not a number from 1 to 720.
 */
export async function setActivationPassword(
  tx: Transaction,
  accountName: string,
  validHours: number = activationValidHoursDefault,
): Promise<IssuedActivationPassword | 'not-found'> {
  if (!(validHours >= 1 && validHours <= maxActivationHours)) {
    throw new BrambleError(
      'ERR_ACTIVATION_VALIDITY',
      `An activation password cannot be valid for ${validHours} hours: choose 1 to ${maxActivationHours}.`,
    );
  }
  const password = generateActivationPassword();
  const { salt, digest } = await digestActivationPassword(password);
  const selector = activationSelectorOf(password);
  const accountId = await lockAccountByName(tx, accountName);
  if (accountId === undefined) return 'not-found';
  const [row] = await tx<{ expiresAt: Date }[]>`
    insert into activation_password as p
      (account_id, salt, digest, selector, selector_digest, expires_at, tries_left, created_at)
    values (${accountId}, ${salt}, ${digest}, ${selector}, ${digest},
      clock_timestamp() + make_interval(secs => ${validHours * 3600}), ${activationTries}, clock_timestamp())
    on conflict (account_id) do update
      set salt = excluded.salt, digest = excluded.digest, selector = excluded.selector,
        selector_digest = excluded.selector_digest, expires_at = excluded.expires_at,
        tries_left = excluded.tries_left, created_at = excluded.created_at
    returning p.expires_at as "expiresAt"`;
  return row === undefined ? 'not-found' : { password, expiresAt: row.expiresAt };
}

/**
 * Consumes the password that a device was activated with; call it when its enrolment completes. A password set after
 * the device's offer stays: it is meant for another device. Fenced: returns false when the account has another owner,
 * and true even if there was nothing left to consume.
 */
export async function consumeActivationPassword(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
): Promise<boolean> {
  const [row] = await q<{ fenced: boolean }[]>`
    with fence as materialized (
      ${fencedAccountOf(q, device.instanceId, device.deviceId)}
    ), ended as (
      delete from activation_password p using fence, device d
      where p.account_id = fence.id and d.id = ${device.deviceId} and p.created_at <= d.created_at
    )
    select exists (select from fence) as fenced`;
  return row?.fenced === true;
}
