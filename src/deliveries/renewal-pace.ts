/**
 * How many device identity renewals may start now. Pure. Invariant: renewals use at most a quarter of the rates and
 * slots, however many are due (a fleet that enrolled in one week, a domain whose upgrade is finalized when a third of
 * its devices is due); the rest is left to policies. An absent device uses none of it.
 */
import type { Budget } from '../api/budget.ts';

export interface RenewalsUnderWay {
  /** Begun within the last minute: of the instance, of the domain. */
  readonly begunHere: number;
  readonly begun: number;
  /** Owed, with devices, or released to devices that are expected. */
  readonly openHere: number;
  readonly open: number;
}

const shareOfBudget = 1 / 4;

export function renewalsAllowed(budget: Budget, underWay: RenewalsUnderWay): number {
  const share = (whole: number) => Math.max(1, Math.floor(whole * shareOfBudget));
  const left = Math.min(
    share(budget.perMinuteInstance) - underWay.begunHere,
    share(budget.perMinuteDomain) - underWay.begun,
    share(budget.perInstance) - underWay.openHere,
    share(budget.perDomain) - underWay.open,
  );
  return Math.max(0, left);
}
