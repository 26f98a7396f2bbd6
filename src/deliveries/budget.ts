/**
 * The budget: how many deliveries may be with devices at the same time, and how many may be released in a minute.
 * Invariant: slots are rows. A delivery that is handed out holds one row of its instance and one of 'domain', a suspect
 * one of 'suspects'; so in flight + suspects <= budget + cap, whichever process crashes. A permit with a negative
 * number is surplus: the budget was lowered while it was taken. It is never granted again and is deleted when it comes
 * back (by {@link collectStrayPermits}), so lowering never interrupts deliveries in flight, and their number falls
 * monotonically to the new budget.
 */
import { type Budget, budgetSchema } from '../api/budget.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { readSetting, writeSetting } from '../domain/settings.ts';
import { burstOf } from './token-bucket.ts';

/** Multiple of `suspectAfterSeconds` for which a silent device keeps a place while others wait for one. */
export const silentPatience = 5;

export async function readBudget(q: Queryable): Promise<Budget> {
  return await readSetting(q, 'budget', budgetSchema);
}

/** Stores the budget and applies it to these instances (all that are not retired, when an administrator changes it). */
export async function writeBudget(tx: Transaction, budget: Budget, instanceIds: readonly string[]): Promise<void> {
  await writeSetting(tx, 'budget', budget);
  await applyBudget(tx, budget, instanceIds);
}

/**
 * Makes the rows of `delivery_permit` and `send_rate` agree with the budget. Idempotent; each instance calls it on
 * start.
 */
export async function applyBudget(tx: Transaction, budget: Budget, instanceIds: readonly string[]): Promise<void> {
  await serializeBudgetChanges(tx);
  const scopes = [
    ...[...instanceIds]
      .sort()
      .map((scope) => ({ scope, limit: budget.perInstance, perMinute: budget.perMinuteInstance })),
    { scope: 'domain', limit: budget.perDomain, perMinute: budget.perMinuteDomain },
  ];
  for (const { scope, limit, perMinute } of scopes) {
    await resizePermits(tx, scope, limit);
    await setRate(tx, scope, perMinute);
  }
  await resizePermits(tx, 'suspects', budget.suspects);
}

async function serializeBudgetChanges(tx: Transaction): Promise<void> {
  // Otherwise two instances starting at the same time could insert the same rows in different orders and deadlock.
  await tx`select pg_advisory_xact_lock(hashtextextended('bramble delivery budget', 0))`;
}

/**
 * Afterwards exactly the permits 1 to limit exist, except surplus ones in use, which become negative. Raising the limit
 * reuses surplus ones. Locks the scope's rows (primary key), so no statement takes one of them meanwhile.
 */
async function resizePermits(tx: Transaction, scope: string, limit: number): Promise<void> {
  await tx`select number from delivery_permit where scope = ${scope} order by number for update`;
  await tx`
    update delivery_permit p set number = -p.number
     where p.scope = ${scope} and p.number < 0 and -p.number <= ${limit}`;
  await tx`delete from delivery_permit where scope = ${scope} and abs(number) > ${limit} and delivery_id is null`;
  await tx`
    update delivery_permit p set number = -p.number
     where p.scope = ${scope} and p.number > ${limit}`;
  await tx`
    insert into delivery_permit (scope, number)
    select ${scope}, n from generate_series(1, ${limit}::int) n
    on conflict (scope, number) do nothing`;
}

async function setRate(tx: Transaction, scope: string, perMinute: number): Promise<void> {
  await tx`
    insert into send_rate (scope, per_minute, tokens, refilled_at)
    values (${scope}, ${perMinute}, ${burstOf(perMinute)}, clock_timestamp())
    on conflict (scope) do update
       set per_minute = excluded.per_minute, tokens = least(send_rate.tokens, excluded.tokens)
     where send_rate.per_minute <> excluded.per_minute`;
}
