/**
 * When the policy service looks for identities that are due, and begins as many renewals as their share of the budget
 * allows. Invariant: a look that failed is not repeated before its time.
 */
import { type Clock, hasPassed } from '../base/clock.ts';
import type { Database } from '../database/connection.ts';
import { readFormerIssuer } from '../domain/device-authority-roll.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
import { isAnyRenewalDue, oweRenewals, readRenewalsUnderWay } from './owe-renewals.ts';
import type { Paces } from './paces.ts';
import { renewalsAllowed } from './renewal-pace.ts';

export interface RenewalTurns {
  isDue(): boolean;
  /** Returns how many were begun. */
  begin(paces: Paces): Promise<number>;
  /** Milliseconds until more may begin of those that are held back; Infinity if none is known to be. */
  dueInMs(): number;
}

/** Interval of the check for due renewals while there are none. */
const renewalLookMs = 15_000;
/** The same while there are some: not all of them may start at once. */
const renewalsAgainMs = 5000;

export function createRenewalTurns(parts: {
  readonly db: Database;
  readonly instanceId: string;
  /** Whether every component supports renewals. */
  readonly isActive: () => Promise<boolean>;
  readonly clock: Clock;
}): RenewalTurns {
  const { db, instanceId, isActive, clock } = parts;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let lookAgainMs = 0;
  let areHeldBack = false;
  return {
    isDue: () => hasPassed(clock, lookedAt, lookAgainMs),
    async begin({ budget, delivery }) {
      lookedAt = clock.now();
      lookAgainMs = renewalsAgainMs;
      areHeldBack = false;
      const former = await readFormerIssuer(db);
      if (!(await isActive()) || !(await isAnyRenewalDue(db, instanceId, former))) {
        lookAgainMs = renewalLookMs;
        return 0;
      }
      const allowed = renewalsAllowed(budget, await readRenewalsUnderWay(db, instanceId, delivery.expectSeconds));
      const settings = await readSetting(db, 'device-identity', identitySettingsSchema);
      const begun = allowed === 0 ? 0 : await oweRenewals(db, instanceId, settings, allowed, former);
      areHeldBack = begun === allowed;
      return begun;
    },
    dueInMs: () => (areHeldBack ? lookedAt + lookAgainMs - clock.now() : Infinity),
  };
}
