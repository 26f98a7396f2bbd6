/**
 * The stored activation password of an account: one at a time, for a while, with a few tries.
 *
 * Protects: at most as many guesses are ever compared as there are tries, however many arrive at once. A try is taken
 * *before* the comparison, in one statement behind the account fence, and given back when the password was right. So a
 * download may be repeated; what uses the password up is the enrolment that completes (`useUpActivationPassword`).
 */
import { BrambleError } from '../base/errors.ts';
import type { AccountId, DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import {
  digestActivationPassword,
  generateActivationPassword,
  matchesActivationPassword,
} from './activation-secret.ts';
import { type FenceMiss, whyFenced } from './fence-miss.ts';

export const activationValidHoursDefault = 48;
export const activationValidHoursMax = 720;
export const activationTries = 5;

/** Shown once: the database keeps only its digest. */
export interface IssuedActivationPassword {
  readonly password: string;
  readonly expiresAt: Date;
}

/**
 * Gives an account a new password with all its tries; the earlier one ends. An administration write: it locks the account
 * row FOR SHARE without comparing the owner.
 * @throws BrambleError ERR_ACTIVATION_VALIDITY when `validHours` is not a number from 1 to 720.
 */
export async function setActivationPassword(
  tx: Transaction,
  accountName: string,
  validHours: number = activationValidHoursDefault,
): Promise<IssuedActivationPassword | 'not-found'> {
  if (!(validHours >= 1 && validHours <= activationValidHoursMax)) {
    throw new BrambleError(
      'ERR_ACTIVATION_VALIDITY',
      `An activation password cannot be valid for ${validHours} hours: choose 1 to ${activationValidHoursMax}.`,
    );
  }
  const password = generateActivationPassword();
  const { salt, digest } = await digestActivationPassword(password);
  const [row] = await tx<{ expiresAt: Date }[]>`
    with locked as materialized (select id from account where name = ${accountName} for share)
    insert into activation_password as p (account_id, salt, digest, expires_at, tries_left, created_at)
    select locked.id, ${salt}::bytea, ${digest}::bytea, clock_timestamp() + make_interval(secs => ${validHours * 3600}),
      ${activationTries}::int, clock_timestamp()
    from locked
    on conflict (account_id) do update
      set salt = excluded.salt, digest = excluded.digest, expires_at = excluded.expires_at,
        tries_left = excluded.tries_left, created_at = excluded.created_at
    returning p.expires_at as "expiresAt"`;
  return row === undefined ? 'not-found' : { password, expiresAt: row.expiresAt };
}

/**
 * `none` is also an account that does not exist. To the outside `wrong`, `expired`, `exhausted` and `none` are one answer
 * and take one time.
 */
export type PasswordCheck =
  | { readonly kind: 'accepted'; readonly accountId: AccountId; readonly epoch: number }
  | { readonly kind: 'wrong'; readonly triesLeft: number }
  | { readonly kind: 'expired' }
  | { readonly kind: 'exhausted' }
  | { readonly kind: 'none' }
  | FenceMiss;

/** Compares a password with the stored one of an account of this instance. A wrong guess costs one try. */
export async function checkActivationPassword(
  q: Queryable,
  guess: { readonly instanceId: InstanceId; readonly accountName: string; readonly password: string },
): Promise<PasswordCheck> {
  const taken = await takeTry(q, guess.instanceId, guess.accountName);
  if (taken === undefined) {
    const miss = await whyFenced(q, guess.instanceId, { accountName: guess.accountName });
    // Locked a moment ago and free by now: the caller comes again, as after a move that is under way.
    if (miss !== undefined) return miss.kind === 'mine' ? { kind: 'moving' } : miss;
  }
  const stored =
    taken?.salt !== null && taken?.digest !== null && taken !== undefined
      ? { salt: taken.salt, digest: taken.digest }
      : undefined;
  const matches = await matchesActivationPassword(guess.password, stored);
  if (taken === undefined) return { kind: 'none' };
  if (stored === undefined) {
    return { kind: taken.expired === null ? 'none' : taken.expired ? 'expired' : 'exhausted' };
  }
  if (!matches) return { kind: 'wrong', triesLeft: taken.triesLeft ?? 0 };
  if (!(await giveTryBack(q, guess.instanceId, taken))) {
    const miss = await whyFenced(q, guess.instanceId, { accountName: guess.accountName });
    return miss === undefined || miss.kind === 'mine' ? { kind: 'none' } : miss;
  }
  return { kind: 'accepted', accountId: taken.accountId, epoch: taken.epoch };
}

interface TakenTry {
  accountId: AccountId;
  epoch: number;
  /** Null when no try was taken. */
  salt: Buffer | null;
  digest: Buffer | null;
  triesLeft: number | null;
  /** Null when there is no password. */
  expired: boolean | null;
}

/** Locks the account row FOR SHARE (unique index of names) and then the password's row, whose update orders the guesses. */
async function takeTry(q: Queryable, instanceId: InstanceId, accountName: string): Promise<TakenTry | undefined> {
  const [row] = await q<TakenTry[]>`
    with fence as materialized (
      select a.id, a.epoch from account a
      where a.name = ${accountName} and a.instance_id = ${instanceId}
        and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
      for share of a
    ), taken as (
      update activation_password p set tries_left = p.tries_left - 1
      from fence
      where p.account_id = fence.id and p.tries_left > 0 and p.expires_at > clock_timestamp()
      returning p.account_id, p.salt, p.digest, p.tries_left
    )
    select fence.id as "accountId", fence.epoch::float8 as epoch, taken.salt, taken.digest,
      taken.tries_left as "triesLeft", p.expires_at <= clock_timestamp() as expired
    from fence
    left join taken on taken.account_id = fence.id
    left join activation_password p on p.account_id = fence.id`;
  return row;
}

/** Only to the password that was compared: one that was set meanwhile has all its tries. */
async function giveTryBack(q: Queryable, instanceId: InstanceId, taken: TakenTry): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      select a.id from account a
      where a.id = ${taken.accountId} and a.instance_id = ${instanceId} and a.epoch = ${taken.epoch}
        and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
      for share of a
    )
    update activation_password p set tries_left = least(p.tries_left + 1, ${activationTries}::int)
    from fence
    where p.account_id = fence.id and p.digest = ${taken.digest}
    returning p.account_id as id`;
  return rows.length > 0;
}

/**
 * Ends the password that a device was activated with; call it when its enrolment completes. A password that was set after
 * the device's offer stays: it is meant for another device. Fenced: answers false when the account has another owner, and
 * true also when there was nothing left to end.
 */
export async function useUpActivationPassword(
  q: Queryable,
  device: { readonly deviceId: DeviceId; readonly instanceId: InstanceId },
): Promise<boolean> {
  const [row] = await q<{ fenced: boolean }[]>`
    with fence as materialized (
      select a.id from account a join device d on d.account_id = a.id
      where d.id = ${device.deviceId} and a.instance_id = ${device.instanceId}
        and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
      for share of a
    ), ended as (
      delete from activation_password p using fence, device d
      where p.account_id = fence.id and d.id = ${device.deviceId} and p.created_at <= d.created_at
    )
    select exists (select from fence) as fenced`;
  return row?.fenced === true;
}

/** Until when the account's present password is valid, for an administrator. */
export async function activationPasswordState(
  q: Queryable,
  accountName: string,
): Promise<{ expiresAt: Date; triesLeft: number } | undefined> {
  const [row] = await q<{ expiresAt: Date; triesLeft: number }[]>`
    select p.expires_at as "expiresAt", p.tries_left as "triesLeft"
    from activation_password p join account a on a.id = p.account_id
    where a.name = ${accountName}`;
  return row;
}
