/**
 * Of whom a second factor is asked: of everybody, or of who has certain roles. Invariant: a session of theirs in which none was
 * shown is good for nothing but showing one, or setting one up where there is none; and nobody of them gives up his last one.
 */
import { type SecondFactorRule, secondFactorRule } from '../../api/second-factor.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { readSetting, storedSetting, writeSetting } from '../../domain/settings.ts';

/** What a session still has to do: show a factor that is there, set one up, or nothing. */
export type OwedFactor = 'proof' | 'enrolment' | null;

export const secondFactorSetting = 'second-factor';

/** Of `administrator a`. */
export const asksFactor = (q: Queryable) => {
  const rule = storedSetting(q, secondFactorSetting);
  return q`coalesce((${rule} -> 'everybody')::boolean or ${rule} -> 'roles' ? a.role, false)`;
};

/** Of `administrator a`. Who signs in at an OpenID provider sets it up there. */
export const hasFactor = (q: Queryable) => q`
  (a.totp_at is not null or exists (select from administrator_passkey p where p.administrator_id = a.id)
    or exists (select from administrator_identity o where o.administrator_id = a.id))`;

/** Of `administrator_session s` and its `administrator a`. */
export const owedBy = (q: Queryable) => q`
  case when s.second_factor or not ${asksFactor(q)} then null
       when ${hasFactor(q)} then 'proof' else 'enrolment' end`;

export async function readSecondFactorRule(q: Queryable): Promise<SecondFactorRule> {
  return await readSetting(q, secondFactorSetting, secondFactorRule);
}

/** @throws BrambleError ERR_CONFLICT where he who asks it of others has shown none himself: he would shut himself out */
export async function writeSecondFactorRule(
  tx: Transaction,
  rule: SecondFactorRule,
  session: string | null,
): Promise<void> {
  const own = session === null || (await tx`select from administrator_session where id = ${session} and second_factor`);
  if (own !== true && own.length === 0) {
    throw new BrambleError(
      'ERR_CONFLICT',
      'You have signed in without a second factor: set one up, or sign in with it, before you ask it of others.',
    );
  }
  await writeSetting(tx, secondFactorSetting, rule);
}

/** Names of those who are let in, and have yet to set one up. */
export async function whoLacksFactor(q: Queryable): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select a.name from administrator a
     where a.state = 'active' and ${asksFactor(q)} and not ${hasFactor(q)} order by lower(a.name)`;
  return rows.map(({ name }) => name);
}

/**
 * Takes one of his own away. Of two that go at once, the second waits.
 * @throws BrambleError ERR_CONFLICT where it is asked of him, and was the last
 */
export async function removeOwnFactor(
  tx: Transaction,
  administratorId: string,
  remove: () => Promise<void>,
): Promise<void> {
  await tx`select from administrator where id = ${administratorId} for no key update`;
  await remove();
  const left = await tx`
    select from administrator a where a.id = ${administratorId} and ${asksFactor(tx)} and not ${hasFactor(tx)}`;
  if (left.length === 0) return;
  throw new BrambleError(
    'ERR_CONFLICT',
    'A second factor is asked of you, and this is the only one: add another first.',
  );
}
