/**
 * Checks guesses at activation passwords against the stored ones of one instance.
 *
 *   look-up → refused unread (no such account, selector, expired, no tries)
 *           → a place, a try → turn → digest → wrong | accepted, and the try given back
 *
 * Protects: no more guesses are ever compared than there are tries, however many arrive at once. Guesses without the
 * right selector share one look-up, use no try and are not digested, so even a thousand of them for one name do not
 * delay its owner. A try is taken *before* the comparison, in one statement behind the account fence, and returned if
 * the password was right, so that a download can be repeated. Digests run off the event loop, few at a time, with the
 * accounts taking turns.
 */
import { availableParallelism } from 'node:os';
import { fencedAccount, isMarked } from '../accounts/account-fence.ts';
import { createFairQueue, type Place } from '../base/fair-queue.ts';
import type { AccountId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Database, Queryable } from '../database/connection.ts';
import { activationTries } from './activation-password.ts';
import { activationSelectorOf, matchesActivationPassword } from './activation-secret.ts';
import { type FenceMiss, fenceMissOf } from './fence-miss.ts';
import { createLookUps } from './look-up-batch.ts';

/**
 * `none` includes accounts that do not exist; `selector` is a guess with the wrong first group. The answer is the same
 * for all; those refused without a digest are answered sooner than `wrong`, which reveals whether a selector is valid
 * and nothing about the secret.
 */
export type PasswordCheck =
  | { readonly kind: 'accepted'; readonly accountId: AccountId; readonly epoch: number }
  | { readonly kind: 'wrong'; readonly triesLeft: number }
  | { readonly kind: 'selector' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'exhausted' }
  | { readonly kind: 'none' }
  /** No room for another guess. */
  | { readonly kind: 'busy' }
  | FenceMiss;

interface PasswordGuess {
  readonly accountName: string;
  readonly password: string;
}

export interface PasswordChecks {
  /**
   * Compares a password with the stored one of an account of this instance. A wrong secret costs one try.
   * @param sender whose share of the places it takes, see `addressGroup`
   */
  check(guess: PasswordGuess, sender?: string): Promise<PasswordCheck>;
  /** Digests computed so far. */
  readonly comparisons: number;
  /** Guesses waiting for theirs. */
  readonly waiting: number;
}

/** Guesses that may wait for a digest, per lane; more for one account than it has tries would be refused anyway. */
const maxGuesses = 64;
const maxGuessesOfAccount = 8;

/**
 * Concurrent digests: one per core except the event loop's, and at most half of libuv's four threads, which name
 * resolution and files need too.
 */
const maxDigests = Math.max(1, Math.min(2, availableParallelism() - 1));

/**
 * The passwords of one instance. A guess is looked up first; only one with the right selector takes a try and waits for
 * its digest. Passwords of 1.1 have no selector: anybody who knows the account's name can cause digests, so these have
 * a separate lane, which takes at most every other turn.
 */
export function createPasswordChecks(options: {
  readonly db: Database;
  readonly instanceId: InstanceId;
  readonly compare?: typeof matchesActivationPassword;
  readonly maxInProgress?: number;
}): PasswordChecks {
  const { db, instanceId, compare = matchesActivationPassword } = options;
  const lookUps = createLookUps<FoundPassword>({ find: (names) => findPasswords(db, names) });
  const digests = createFairQueue({
    lanes: ['selector', 'none'],
    maxInProgress: options.maxInProgress ?? maxDigests,
    maxPlaces: maxGuesses,
    maxPlacesOfKey: maxGuessesOfAccount,
  });
  let comparisons = 0;

  async function compareInTurn(guess: PasswordGuess, selector: string | null, place: Place): Promise<PasswordCheck> {
    const taken = await takeTry(db, instanceId, guess.accountName, selector);
    if (taken === undefined) return await whyNotTaken(db, instanceId, guess.accountName, 'moving');
    if (taken.salt === null || taken.digest === null) return { kind: 'exhausted' };
    await place.turn();
    comparisons += 1;
    const matches = await compare(guess.password, { salt: taken.salt, digest: taken.digest });
    if (!matches) return { kind: 'wrong', triesLeft: taken.triesLeft ?? 0 };
    return (await giveTryBack(db, instanceId, taken))
      ? { kind: 'accepted', accountId: taken.accountId, epoch: taken.epoch }
      : await whyNotTaken(db, instanceId, guess.accountName, 'none');
  }

  return {
    async check(guess, sender = '') {
      const found = await lookUps.find(guess.accountName, sender);
      if (found === 'busy') return { kind: 'busy' };
      const refused = refusedUnread(found, instanceId, guess.password);
      if (refused !== undefined) return refused;
      const selector = found?.selector ?? null;
      const place = digests.enter(selector === null ? 'none' : 'selector', guess.accountName);
      if (place === undefined) return { kind: 'busy' };
      try {
        return await compareInTurn(guess, selector, place);
      } finally {
        place.leave();
      }
    },
    get comparisons() {
      return comparisons;
    },
    get waiting() {
      return digests.waiting;
    },
  };
}

/** The outcome if it needs no digest; undefined for a guess that does. */
function refusedUnread(
  found: FoundPassword | undefined,
  instanceId: InstanceId,
  password: string,
): PasswordCheck | undefined {
  if (found === undefined) return { kind: 'none' };
  if (found.instanceId !== instanceId) return { kind: 'not-owner', owner: found.owner };
  if (found.moving) return { kind: 'moving' };
  if (found.triesLeft === null) return { kind: 'none' };
  if (found.selector !== null && found.selector !== activationSelectorOf(password)) return { kind: 'selector' };
  if (found.expired) return { kind: 'expired' };
  return found.triesLeft > 0 ? undefined : { kind: 'exhausted' };
}

/** `mine` is the outcome if the fence is open by now: the caller retries, or the password has ended. */
async function whyNotTaken(
  q: Queryable,
  instanceId: InstanceId,
  accountName: string,
  mine: 'moving' | 'none',
): Promise<PasswordCheck> {
  const miss = await fenceMissOf(q, instanceId, { accountName });
  if (miss === undefined) return { kind: 'none' };
  return miss.kind === 'mine' ? { kind: mine } : miss;
}

interface FoundPassword {
  accountName: string;
  instanceId: InstanceId;
  owner: SrpIdentifier;
  moving: boolean;
  /** Null when there is no password. */
  triesLeft: number | null;
  expired: boolean | null;
  /** Null for a password of 1.1, even if it replaced one that had a selector. */
  selector: string | null;
}

/** No lock; one look into account_name_key and activation_password_pkey per name, whatever the planner expects. */
async function findPasswords(q: Queryable, accountNames: readonly string[]): Promise<Map<string, FoundPassword>> {
  const rows = await q<FoundPassword[]>`
    select found.*
      from unnest(${accountNames as string[]}::text[]) asked
     cross join lateral (
       select a.name as "accountName", a.instance_id as "instanceId", i.srp_identifier as owner,
         ${isMarked(q)} as moving,
         p.tries_left as "triesLeft", p.expires_at <= clock_timestamp() as expired,
         case when p.selector_digest = p.digest then p.selector end as selector
       from account a
       join instance i on i.id = a.instance_id
       left join activation_password p on p.account_id = a.id
       where a.name = asked offset 0) found`;
  return new Map(rows.map((row) => [row.accountName, row]));
}

interface TakenTry {
  accountId: AccountId;
  epoch: number;
  /** Null when no try was taken. */
  salt: Buffer | null;
  digest: Buffer | null;
  triesLeft: number | null;
}

/**
 * Locks the account row FOR SHARE (unique index of names) and then the password's row, whose update orders the guesses.
 * No try is taken from a password that was set since the look-up and has another selector.
 */
async function takeTry(
  q: Queryable,
  instanceId: InstanceId,
  accountName: string,
  selector: string | null,
): Promise<TakenTry | undefined> {
  const [row] = await q<TakenTry[]>`
    with fence as materialized (
      ${fencedAccount(q, instanceId, q`a.name = ${accountName}`)}
    ), taken as (
      update activation_password p set tries_left = p.tries_left - 1
      from fence
      where p.account_id = fence.id and p.tries_left > 0 and p.expires_at > clock_timestamp()
        and (case when p.selector_digest = p.digest then p.selector end) is not distinct from ${selector}::text
      returning p.account_id, p.salt, p.digest, p.tries_left
    )
    select fence.id as "accountId", fence.epoch::float8 as epoch, taken.salt, taken.digest,
      taken.tries_left as "triesLeft"
    from fence
    left join taken on taken.account_id = fence.id`;
  return row;
}

/** Only to the password that was compared: one set meanwhile still has all its tries. */
async function giveTryBack(q: Queryable, instanceId: InstanceId, taken: TakenTry): Promise<boolean> {
  const rows = await q<{ id: string }[]>`
    with fence as materialized (
      ${fencedAccount(q, instanceId, q`a.id = ${taken.accountId} and a.epoch = ${taken.epoch}`)}
    )
    update activation_password p set tries_left = least(p.tries_left + 1, ${activationTries}::int)
    from fence
    where p.account_id = fence.id and p.digest = ${taken.digest}
    returning p.account_id as id`;
  return rows.length > 0;
}
