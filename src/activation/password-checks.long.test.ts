/** Many guesses at once: what is digested of them, in which order, and that the right one is not kept waiting. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AccountId } from '../base/ids.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { until } from '../testing/condition.ts';
import { type ActivationFixture, activationPasswordState, createActivationFixture } from './activation-fixture.ts';
import { activationTries } from './activation-password.ts';
import { matchesActivationPassword } from './activation-secret.ts';
import { createPasswordChecks, type PasswordCheck } from './password-checks.ts';

const { url } = await createTestDatabase();
const limited = { timeout: 60_000 };
let fixture: ActivationFixture;
before(async () => {
  fixture = await createActivationFixture(url);
});
after(async () => {
  await fixture.close();
});

/** Checks whose digests wait until they are let go; `digested` is what was compared, in order. */
function heldChecks() {
  const digested: string[] = [];
  const held = Promise.withResolvers<void>();
  const checks = createPasswordChecks({
    ...{ db: fixture.db, instanceId: fixture.here.id, maxInProgress: 1 },
    compare: async (typed, stored) => {
      await held.promise;
      digested.push(typed);
      return await matchesActivationPassword(typed, stored);
    },
  });
  const waiting = async (count: number) => {
    await until(`${count} checks wait`, 60_000, () => checks.waiting >= count);
  };
  return { ...{ checks, digested, waiting }, letGo: held.resolve };
}

/** Makes the account's password one as 1.1 issues them: without a selector. */
async function forgetSelector(id: AccountId): Promise<void> {
  await fixture.db`update activation_password set selector = null, selector_digest = null where account_id = ${id}`;
}

function tally(outcomes: readonly PasswordCheck[]): Record<string, number> {
  const count: Record<string, number> = {};
  for (const { kind } of outcomes) count[kind] = (count[kind] ?? 0) + 1;
  return count;
}

test(
  'beside 150 wrong guesses the right one waits for one digest of each account whose selector is known',
  limited,
  async (t) => {
    const named = await fixture.account();
    const others = await Promise.all(Array.from({ length: 10 }, () => fixture.account()));
    const { checks, digested, waiting, letGo } = heldChecks();
    const turns = Array.from({ length: activationTries }, (_, turn) => turn);
    const wrong = [
      ...Array.from({ length: 50 }, (_, i) => ({ accountName: `nobody-${i}`, password: named.password })),
      ...Array.from({ length: 50 }, (_, i) => ({ accountName: named.name, password: `wrong-${i}-${named.password}` })),
      ...others.flatMap(({ name, password }) =>
        turns.map((turn) => ({ accountName: name, password: `${password.slice(0, 6)}-wrong-${turn}` })),
      ),
    ].map((guess) => checks.check(guess));
    await waiting(49);
    const startedAt = performance.now();
    const right = checks.check({ accountName: named.name, password: named.password });
    await waiting(50);
    letGo();
    assert.equal((await right).kind, 'accepted');
    t.diagnostic(`the right one took ${Math.round(performance.now() - startedAt)} ms`);
    const place = digested.indexOf(named.password);
    assert.ok(place <= 1 + others.length, `${place} digests came before it`);
    assert.deepEqual(tally(await Promise.all(wrong)), { none: 50, selector: 50, wrong: 50 });
    assert.equal(digested.length, 51);
    assert.equal((await activationPasswordState(fixture.db, named.name))?.triesLeft, activationTries);
  },
);

test(
  'beside 1,000 guesses at the same name, and 1,000 at others, the right one is served: each name is looked up once for all',
  limited,
  async (t) => {
    const named = await fixture.account();
    const { checks, letGo } = heldChecks();
    letGo();
    const wrong = Array.from({ length: 1000 }, (_, i) => [
      checks.check({ accountName: named.name, password: `wrong-${i}-${named.password}` }, '192.0.2.1'),
      checks.check({ accountName: `nobody-${i}`, password: named.password }, '192.0.2.1'),
    ]).flat();
    const startedAt = performance.now();
    assert.equal(
      (await checks.check({ accountName: named.name, password: named.password }, '192.0.2.2')).kind,
      'accepted',
    );
    t.diagnostic(`the right one took ${Math.round(performance.now() - startedAt)} ms`);
    assert.deepEqual(tally(await Promise.all(wrong)), { selector: 1000, none: 1000 });
  },
);

test(
  'passwords of 1.1, which anyone can have digested, keep one with a selector waiting for every other turn',
  limited,
  async () => {
    const named = await fixture.account();
    const old = await Promise.all(Array.from({ length: 20 }, () => fixture.account()));
    await Promise.all(old.map(({ id }) => forgetSelector(id)));
    const { checks, digested, waiting, letGo } = heldChecks();
    const wrong = old.map(({ name }) => checks.check({ accountName: name, password: 'wrong' }));
    await waiting(19);
    const right = checks.check({ accountName: named.name, password: named.password });
    await waiting(20);
    letGo();
    assert.equal((await right).kind, 'accepted');
    assert.ok(digested.indexOf(named.password) <= 2, digested.join());
    assert.deepEqual(tally(await Promise.all(wrong)), { wrong: 20 });
  },
);

test(
  'what finds no place is told to come again, has cost no try, and leaves other accounts their places',
  limited,
  async () => {
    const [crowded, quiet] = await Promise.all([fixture.account(), fixture.account()]);
    await fixture.db`update activation_password set tries_left = 100 where account_id = ${crowded.id}`;
    const { checks, waiting, letGo } = heldChecks();
    const guesses = Array.from({ length: 20 }, () => ({
      accountName: crowded.name,
      password: `${crowded.password.slice(0, 6)} wrong`,
    }));
    const outcomes = guesses.map((guess) => checks.check(guess));
    await waiting(7);
    const right = checks.check({ accountName: quiet.name, password: quiet.password });
    await waiting(8);
    letGo();
    assert.equal((await right).kind, 'accepted');
    assert.deepEqual(tally(await Promise.all(outcomes)), { wrong: 8, busy: 12 });
    assert.equal((await activationPasswordState(fixture.db, crowded.name))?.triesLeft, 92);
  },
);
