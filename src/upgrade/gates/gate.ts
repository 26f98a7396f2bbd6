/**
 * The gate between two waves, as a pure rule: figures in; pass, fail or undecided out. It may be evaluated any number
 * of times (docs/adr/0028-gates-judge-sequentially.md).
 *
 * Invariants: what cannot be judged (no sample, too small a sample, figures that are not numbers) is undecided, and
 * undecided never passes. One account among several, however busy, can make a gate fail but never pass. One stretch of
 * ten seconds can do neither.
 */

import type { GateSettings } from '../../api/upgrade-options.ts';
import { counted } from '../../base/counted.ts';
import { mergeHistograms } from '../../base/latency-histogram.ts';
import { type ChosenGate, chosenGate } from '../state/plan-options.ts';
import {
  type Comparison,
  deliveryComparisons,
  describeTails,
  requestsComparison,
  sumOf,
  tailComparisons,
  tailsWithoutPast,
  toleratesEveryFailure,
  worseThan,
} from './gate-comparisons.ts';
import { type GateFigures, gateFiguresSchema } from './gate-figures.ts';
import { type GateShortfall, leftOutNote, oddsToPass, shortfallOf } from './gate-shortfall.ts';
import { evidenceAgainst, goodRequestsTo, usualShare } from './sequential-test.ts';

/** The figures stored with an answer. */
interface GateSummary {
  source: GateFigures['source'];
  requests: number;
  failed: number;
  /** Of the moved accounts' requests; counts by bin. */
  latency: number[];
  deliveries: GateFigures['deliveries'];
  interruptions: GateFigures['interruptions'];
  leftOut: GateFigures['leftOut'];
}

export type GateAnswer =
  | { answer: 'pass'; reasons: string[]; figures: GateSummary }
  | { answer: 'fail'; reasons: string[]; figures: GateSummary }
  | { answer: 'undecided'; cause: 'sample'; reasons: string[]; lacks: GateShortfall; figures: GateSummary }
  | { answer: 'undecided'; cause: 'unreadable'; reasons: string[]; figures: null };

/** Judges a wave. `figures` is parsed here; figures that do not parse are undecided. */
export function judgeGate(figures: unknown, settings: GateSettings): GateAnswer {
  const parsed = gateFiguresSchema.safeParse(figures);
  if (!parsed.success) {
    const place = parsed.error.issues[0]?.path.join('.') ?? '';
    const reasons = [`the figures are unreadable${place === '' ? '' : ` at ${place}`}`];
    return { answer: 'undecided', cause: 'unreadable', reasons, figures: null };
  }
  const read = parsed.data;
  const gate = chosenGate(settings);
  const summary = summaryOf(read);
  const comparisons = comparisonsOf(read, gate);
  const failures = failuresOf(read, gate, comparisons);
  if (failures.length > 0) return { answer: 'fail', reasons: failures, figures: summary };
  const lacks = shortfallOf(read, gate, comparisons);
  if (lacks.reasons.length > 0) {
    return { answer: 'undecided', cause: 'sample', reasons: lacks.reasons, lacks, figures: summary };
  }
  return { answer: 'pass', reasons: passReasons(read, gate), figures: summary };
}

/** A crash every minute makes as many in two minutes; a single one can happen to any release. */
const interruptionsToFail = 2;

function failuresOf(figures: GateFigures, gate: ChosenGate, comparisons: readonly Comparison[]): string[] {
  const failures = comparisons
    .filter((comparison) => evidenceOf(comparison) >= comparison.evidenceToFail)
    .map((comparison) => comparison.says(sumOf(comparison.stretches)));
  const { interruptions } = figures;
  if (interruptions.length < interruptionsToFail || toleratesEveryFailure(gate)) return failures;
  const told = [...new Set(interruptions.map(({ name, cause }) => `${name}: ${cause}`))].join(', ');
  return [
    `the new instances exited unexpectedly or lost their lease ${counted(interruptions.length, 'time')} (${told})`,
    ...failures,
  ];
}

function comparisonsOf(figures: GateFigures, gate: ChosenGate): Comparison[] {
  return [requestsComparison(figures, gate), ...tailComparisons(figures, gate), ...deliveryComparisons(figures, gate)];
}

function evidenceOf({ usual, stretches, maxOfOneStretch }: Comparison): number {
  return evidenceAgainst(usual, stretches, maxOfOneStretch);
}

function passReasons(figures: GateFigures, gate: ChosenGate): string[] {
  const summary = summaryOf(figures);
  const missing = tailsWithoutPast(figures);
  return [
    `${counted(summary.requests, 'request')}, ${summary.failed} failed, ${describeTails(summary.latency)}`,
    ...leftOutNote(figures),
    ...(figures.accounts.all === 1 ? ['based on a single account'] : []),
    ...awayNote(figures),
    ...(gate.leastRequests === undefined
      ? []
      : [
          `${counted(gate.leastRequests, 'request was', 'requests were')} configured as sufficient: a fault that ` +
            'affects few requests may be missed',
        ]),
    ...(missing.length === 0 ? [] : [`${missing.join(', ')} not judged: too little is known about the usual latency`]),
    ...(figures.source === 'instances'
      ? ['no router reports what devices experience: judged by the figures that the instances report']
      : []),
  ];
}

function awayNote({ accounts: { away } }: GateFigures): string[] {
  return away === 0
    ? []
    : [`${counted(away, 'account')} not counted, because their devices had not connected before either`];
}

function summaryOf(figures: GateFigures): GateSummary {
  const seen = sumOf(figures.moved.map(({ requests, failed }) => ({ requests, bad: failed })));
  const { source, deliveries, interruptions, leftOut } = figures;
  return {
    ...{ source, requests: seen.requests, failed: seen.bad },
    latency: [...mergeHistograms(...figures.moved.map(({ latency }) => latency))],
    ...{ deliveries, interruptions, leftOut },
  };
}

/** Requests without an error after which a gate can open if hardly any failed before. For the plan. */
export function requestsToPass(settings: GateSettings): number {
  const { leastRequests } = chosenGate(settings);
  if (leastRequests !== undefined) return leastRequests;
  const usual = usualShare({ requests: 10_000, bad: 0 });
  return goodRequestsTo(oddsToPass, usual, worseThan(usual), { requests: 0, bad: 0 });
}
