/**
 * Why a gate that does not fail stays closed: how many requests are missing, from which accounts, how long they will
 * take at the current rate, and which comparisons still raise doubts about the release. Pure. Its texts call requests
 * samples, since a device counts at most once in 10 s.
 */
import { counted } from '../../base/counted.ts';
import type { ChosenGate } from '../state/plan-options.ts';
import { type Comparison, sumOf } from './gate-comparisons.ts';
import type { GateFigures } from './gate-figures.ts';
import { evidenceAgainst, goodRequestsTo, logRatio, type Trial } from './sequential-test.ts';

export interface GateShortfall {
  /** Good requests still needed; 0 if none, null if no number of them would suffice. */
  requests: number | null;
  /** At the pace of the window so far; null while there were none. */
  seconds: number | null;
  /** For people. */
  reasons: string[];
}

/** How many times better the usual share has to explain what was seen than the intolerable one, as a logarithm. */
export const oddsToPass = Math.log(100);

export function shortfallOf(figures: GateFigures, gate: ChosenGate, comparisons: readonly Comparison[]): GateShortfall {
  const seen = sumOf(figures.moved.map(({ requests, failed }) => ({ requests, bad: failed }))).requests;
  const counts = countedRequests(figures, seen);
  const weight = seen === 0 ? 0 : counts / seen;
  const needs = comparisons.map((comparison) => neededOf(comparison, weight, gate));
  const few = gate.leastRequests === undefined ? 0 : Math.max(0, gate.leastRequests - counts);
  const requests = Math.max(few, ...needs);
  const doubts = comparisons
    .filter((comparison, index) => isDoubtful(comparison, requests > 0 && needs.indexOf(requests) === index))
    .map((comparison) => comparison.says(sumOf(comparison.stretches)));
  if (requests === 0) return { requests: doubts.length > 0 ? null : 0, seconds: null, reasons: doubts };
  const lacking = isMostlyOneAccount(figures, seen)
    ? neededOfOthers(figures, seen, requests)
    : { requests, pace: counts / Math.max(1, figures.seconds), who: '', among: '' };
  const seconds = lacking.pace === 0 ? null : Math.ceil(lacking.requests / lacking.pace);
  const reason =
    `needs ${counted(lacking.requests, 'more good sample')} (a device counts once in 10 s)${lacking.who}: ` +
    `${seen === 0 ? 'none' : seen} so far${lacking.among}` +
    `${seconds === null ? '' : `, so about ${duration(seconds)} more at their pace`}`;
  const notes = [...unheardAccountsNote(figures), ...leftOutNote(figures), ...doubts];
  return { requests: lacking.requests, seconds, reasons: [reason, ...notes] };
}

/** If a number of requests was chosen, they suffice unless a comparison raises doubts about the release. */
function neededOf({ toPass, stretches }: Comparison, weight: number, gate: ChosenGate): number {
  if (toPass === undefined) return 0;
  const { usual, worse } = toPass;
  const seen = sumOf(stretches);
  const goal = gate.leastRequests === undefined ? oddsToPass : Math.min(oddsToPass, 0);
  const weighted: Trial = { requests: seen.requests * weight, bad: seen.bad * weight };
  if (gate.leastRequests !== undefined && logRatio(usual, worse, weighted) > goal) return 0;
  return goodRequestsTo(goal, usual, worse, weighted);
}

/** Whether more requests would not help; or whether bad ones are why so many more are needed. */
function isDoubtful(comparison: Comparison, needsMost: boolean): boolean {
  if (sumOf(comparison.stretches).bad === 0 || comparison.usual >= 1) return false;
  if (comparison.toPass !== undefined) return needsMost;
  return evidenceAgainst(comparison.usual, comparison.stretches, comparison.maxOfOneStretch) > 1;
}

/** The busiest account counts at most as much as all others together; if it is alone in its wave, in full. */
function countedRequests({ accounts, busiest }: GateFigures, requests: number): number {
  if (accounts.all <= 1) return requests;
  const others = requests - busiest.requests;
  return others + Math.min(busiest.requests, others);
}

function isMostlyOneAccount({ accounts, busiest }: GateFigures, requests: number): boolean {
  return accounts.all > 1 && busiest.requests * 2 > requests;
}

/** Each request of another account lets one more of the busiest account count, as long as that one has more. */
function neededOfOthers({ busiest, seconds }: GateFigures, seen: number, requests: number) {
  const others = seen - busiest.requests;
  return {
    requests: Math.max(Math.ceil(requests / 2), requests - (busiest.requests - others)),
    pace: others / Math.max(1, seconds),
    who: ` from accounts other than ${busiest.name}, which counts at most as much as all others together`,
    among: `, ${busiest.requests} of them from ${busiest.name}`,
  };
}

function unheardAccountsNote({ accounts: { all, heard, unheard } }: GateFigures): string[] {
  if (heard >= all || unheard.length === 0) return [];
  const more = all - heard - unheard.length;
  return [`no request yet from ${unheard.join(', ')}${more > 0 ? ` and ${counted(more, 'more account')}` : ''}`];
}

export function leftOutNote({ leftOut }: GateFigures): string[] {
  if (leftOut.requests === 0) return [];
  const seconds = Math.round(leftOut.warmUpSeconds);
  return [`not counted: ${leftOut.requests} during the move${seconds === 0 ? '' : ` and the first ${seconds} s`}`];
}

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds / 10) * 10} s` : `${counted(Math.ceil(seconds / 60), 'minute')}`;
}
