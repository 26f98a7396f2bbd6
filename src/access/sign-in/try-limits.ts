/**
 * Guessing is slowed, and nobody is locked out by a stranger's guesses. Failures count for a name *and* where they come from:
 * a network, or a browser that has signed in as that administrator before. While a name is guessed from many networks, one
 * that is not known has a single try instead of several; its owner still has that one, and all of them at his own browser.
 *
 * Invariant: a try is taken before the password is looked at, in one statement, and given back if it was right: of a thousand
 * guesses at once no more are compared than there are tries.
 */
import type { Queryable } from '../../database/connection.ts';
import { secretDigest } from './secrets.ts';

/** Tries before the first wait, which then doubles; whoever rests for the window starts anew. */
const tryLimits = {
  free: 5,
  /** Of a network, once this many failures of the window came from anywhere. */
  freeUnderAttack: 1,
  attackAfter: 20,
  firstWaitSeconds: 5,
  longestWaitSeconds: 900,
  windowMinutes: 60,
} as const;

export interface Trying {
  /** As typed. */
  name: string;
  /** From `addressGroup`. */
  network: string;
  /** Digest of the cookie of a browser that has signed in under the name before. */
  browser: Buffer | null;
}

const anywhere = '*';

function sourceOf({ network, browser }: Trying): string {
  return browser === null ? network : `browser ${browser.toString('hex')}`;
}

function subjectOf({ name }: Trying): Buffer {
  return secretDigest(name.toLowerCase());
}

/** Takes a try. @returns how many seconds to wait if there is none */
export async function takeTry(q: Queryable, trying: Trying): Promise<{ waitSeconds: number } | null> {
  const { free, freeUnderAttack, attackAfter, firstWaitSeconds, longestWaitSeconds, windowMinutes } = tryLimits;
  const [subject, source] = [subjectOf(trying), sourceOf(trying)];
  const window = q`make_interval(mins => ${windowMinutes})`;
  const allowed = q`
    case when ${trying.browser !== null} then ${free}::int else (
      select case when coalesce(max(a.failures), 0) >= ${attackAfter} then ${freeUnderAttack}::int else ${free}::int end
        from sign_in_try a
       where a.subject = ${subject} and a.source = ${anywhere} and a.last_at > now() - ${window}) end`;
  const openAt = q`
    case when t.failures < ${allowed} then timestamptz '-infinity' else t.last_at + make_interval(secs => least(
      ${longestWaitSeconds}::float8, ${firstWaitSeconds}::float8 * 2 ^ least(t.failures - ${allowed}, 20))) end`;
  const taken = await q`
    insert into sign_in_try as t (subject, source, failures) values (${subject}, ${source}, 1)
    on conflict (subject, source) do update
      set failures = case when t.last_at > now() - ${window} then t.failures + 1 else 1 end, last_at = now()
      where ${openAt} <= now()`;
  if (taken.count === 1) return null;
  const [row] = await q<{ waitSeconds: number }[]>`
    select greatest(1, ceil(extract(epoch from ${openAt} - now())))::int as "waitSeconds" from sign_in_try t
     where t.subject = ${subject} and t.source = ${source}`;
  return { waitSeconds: row?.waitSeconds ?? 1 };
}

export async function giveTryBack(q: Queryable, trying: Trying): Promise<void> {
  await q`delete from sign_in_try where subject = ${subjectOf(trying)} and source = ${sourceOf(trying)}`;
}

/** Counts a failure. @returns how many there were under this name of late, wherever from */
export async function countFailure(q: Queryable, trying: Trying): Promise<number> {
  const [row] = await q<{ failures: number }[]>`
    insert into sign_in_try as t (subject, source, failures) values (${subjectOf(trying)}, ${anywhere}, 1)
    on conflict (subject, source) do update
      set failures = case when t.last_at > now() - make_interval(mins => ${tryLimits.windowMinutes})
                          then t.failures + 1 else 1 end,
          last_at = now()
    returning failures`;
  return row?.failures ?? 1;
}
