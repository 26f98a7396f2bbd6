/**
 * The gate between two waves, as a pure rule: figures in, pass, fail or undecided out. It may be asked as often as one likes
 * (docs/adr/0028-gates-judge-sequentially.md).
 *
 * Invariants: what cannot be judged (no sample, too small a sample, figures that are no numbers) is undecided, and undecided
 * never passes. One account among several, however busy, makes a gate fail but never pass. One stretch of ten seconds does
 * neither.
 */
import { counted } from '../base/counted.ts';
import { mergeHistograms } from '../base/latency-histogram.ts';
import {
  type Comparison,
  deliveryComparisons,
  describeTails,
  everythingMayFail,
  requestsComparison,
  sumOf,
  tailComparisons,
  unjudgedTails,
  worseThan,
} from './gate-comparisons.ts';
import { type GateFigures, gateFiguresSchema } from './gate-figures.ts';
import { type ChosenGate, chosenGate, type GateSettings } from './plan-options.ts';
import { evidenceAgainst, goodRequestsTo, logRatio, type Trial, usualShare } from './sequential-test.ts';

/** What is kept of the figures with an answer. */
export interface GateSummary {
  source: GateFigures['source'];
  requests: number;
  failed: number;
  /** Of the moved accounts' requests; counts by bin. */
  latency: number[];
  deliveries: GateFigures['deliveries'];
  interruptions: GateFigures['interruptions'];
  leftOut: GateFigures['leftOut'];
}

/** What a gate lacks before it opens. */
export interface GateLacks {
  /** Good requests that are still needed; 0 when none, null when no number of them would do. */
  requests: number | null;
  /** At the pace of the window so far; null while nothing came. */
  seconds: number | null;
  /** For people. */
  reasons: string[];
}

export type GateAnswer =
  | { answer: 'pass'; reasons: string[]; figures: GateSummary }
  | { answer: 'fail'; reasons: string[]; figures: GateSummary }
  | { answer: 'undecided'; cause: 'sample'; reasons: string[]; lacks: GateLacks; figures: GateSummary }
  | { answer: 'undecided'; cause: 'unreadable'; reasons: string[]; figures: null };

/** Judges a wave. `figures` is whatever came from the samples: it is parsed here, and undecided when it does not parse. */
export function judgeGate(figures: unknown, settings: GateSettings): GateAnswer {
  const parsed = gateFiguresSchema.safeParse(figures);
  if (!parsed.success) {
    const place = parsed.error.issues[0]?.path.join('.') ?? '';
    const reasons = [`the figures cannot be read${place === '' ? '' : ` at ${place}`}`];
    return { answer: 'undecided', cause: 'unreadable', reasons, figures: null };
  }
  const read = parsed.data;
  const gate = chosenGate(settings);
  const summary = summaryOf(read);
  const comparisons = comparisonsOf(read, gate);
  const failures = failuresOf(read, gate, comparisons);
  if (failures.length > 0) return { answer: 'fail', reasons: failures, figures: summary };
  const lacks = lacksOf(read, gate, comparisons);
  if (lacks.reasons.length > 0) {
    return { answer: 'undecided', cause: 'sample', reasons: lacks.reasons, lacks, figures: summary };
  }
  return { answer: 'pass', reasons: passReasons(read, gate), figures: summary };
}

/** What keeps a gate from opening that does not fail: for whoever shows what an upgrade waits for. */
export function gateLacks(figures: GateFigures, settings: GateSettings): GateLacks {
  const gate = chosenGate(settings);
  return lacksOf(figures, gate, comparisonsOf(figures, gate));
}

/** As many as a crash every minute makes in two minutes; one may happen to anybody. */
const interruptionsToFail = 2;

function failuresOf(figures: GateFigures, gate: ChosenGate, comparisons: readonly Comparison[]): string[] {
  const failures = comparisons
    .filter((comparison) => evidenceOf(comparison) >= comparison.evidenceToFail)
    .map((comparison) => comparison.says(sumOf(comparison.stretches)));
  const { interruptions } = figures;
  if (interruptions.length < interruptionsToFail || everythingMayFail(gate)) return failures;
  const told = [...new Set(interruptions.map(({ name, cause }) => `${name}: ${cause}`))].join(', ');
  return [`the new instances ended unasked or lost their lease ${interruptions.length} times (${told})`, ...failures];
}

function comparisonsOf(figures: GateFigures, gate: ChosenGate): Comparison[] {
  return [requestsComparison(figures, gate), ...tailComparisons(figures, gate), ...deliveryComparisons(figures, gate)];
}

function evidenceOf({ usual, stretches, mostOfOneStretch }: Comparison): number {
  return evidenceAgainst(usual, stretches, mostOfOneStretch);
}

/** So many times better must the usual share explain what was seen than the intolerable one does. */
const oddsToPass = Math.log(100);

function lacksOf(figures: GateFigures, gate: ChosenGate, comparisons: readonly Comparison[]): GateLacks {
  const seen = sumOf(figures.moved.map(({ requests, failed }) => ({ requests, bad: failed })));
  const weight = seen.requests === 0 ? 0 : countedRequests(figures, seen.requests) / seen.requests;
  const needs = comparisons.flatMap(({ toPass, stretches }) =>
    toPass === undefined ? [] : [neededOf(toPass, sumOf(stretches), weight, gate)],
  );
  const has = Math.floor(seen.requests * weight);
  const few = gate.leastRequests === undefined ? 0 : Math.max(0, gate.leastRequests - has);
  const requests = Math.max(few, ...needs);
  const pace = (seen.requests * weight) / Math.max(1, figures.seconds);
  const seconds = pace === 0 ? null : Math.ceil(requests / pace);
  const doubts = comparisons
    .filter((comparison) => comparison.toPass === undefined && comparison.usual < 1)
    .filter((comparison) => sumOf(comparison.stretches).bad > 0 && evidenceOf(comparison) > 1)
    .map((comparison) => comparison.says(sumOf(comparison.stretches)));
  if (requests === 0) return { requests: doubts.length > 0 ? null : 0, seconds: null, reasons: doubts };
  const reason =
    `${has} requests of moved accounts are too few to judge by: ${requests} more without an error are needed, ` +
    (seconds === null ? 'and none has come yet' : `in about ${duration(seconds)} at their pace so far`);
  const notes = [...busiestNote(figures, seen.requests), ...leftOutNote(figures), ...doubts];
  return { requests, seconds, reasons: [reason, ...notes] };
}

/** With a number of requests chosen, it is enough that nothing speaks against the release. */
function neededOf(
  { usual, worse }: { usual: number; worse: number },
  seen: Trial,
  weight: number,
  gate: ChosenGate,
): number {
  const goal = gate.leastRequests === undefined ? oddsToPass : Math.min(oddsToPass, 0);
  const weighted = { requests: seen.requests * weight, bad: seen.bad * weight };
  if (gate.leastRequests !== undefined && logRatio(usual, worse, weighted) > goal) return 0;
  return goodRequestsTo(goal, usual, worse, weighted);
}

/** The busiest account counts as much as all others together at most; alone in its wave, in full. */
function countedRequests({ accounts, busiest }: GateFigures, requests: number): number {
  if (accounts.all <= 1) return requests;
  const others = requests - busiest.requests;
  return others + Math.min(busiest.requests, others);
}

function busiestNote({ accounts, busiest }: GateFigures, requests: number): string[] {
  if (accounts.all <= 1 || busiest.requests * 2 <= requests) return [];
  return ['the busiest account counts as much as all others together at most'];
}

function leftOutNote({ leftOut }: GateFigures): string[] {
  if (leftOut.requests === 0) return [];
  return [
    `${leftOut.requests} requests of the move itself and of the first ${leftOut.warmUpSeconds.toFixed(0)} s are left out`,
  ];
}

function passReasons(figures: GateFigures, gate: ChosenGate): string[] {
  const summary = summaryOf(figures);
  const missing = unjudgedTails(figures);
  return [
    `${summary.requests} requests, ${summary.failed} failed, ${describeTails(summary.latency)}`,
    ...leftOutNote(figures),
    ...(figures.accounts.all === 1 ? ['it rests on one account alone'] : []),
    ...(gate.leastRequests === undefined
      ? []
      : [`${gate.leastRequests} requests were chosen to be enough: a fault that few requests show may be overlooked`]),
    ...(missing.length === 0
      ? []
      : [`${missing.join(', ')} not judged: too little is known of how long requests usually take`]),
    ...(figures.source === 'instances'
      ? ['no router reports what devices see: judged by what the instances say of themselves']
      : []),
  ];
}

export function summaryOf(figures: GateFigures): GateSummary {
  const seen = sumOf(figures.moved.map(({ requests, failed }) => ({ requests, bad: failed })));
  const { source, deliveries, interruptions, leftOut } = figures;
  return {
    ...{ source, requests: seen.requests, failed: seen.bad },
    latency: [...mergeHistograms(...figures.moved.map(({ latency }) => latency))],
    ...{ deliveries, interruptions, leftOut },
  };
}

/** Requests without an error after which a gate can open, where hardly any failed before. For the plan. */
export function requestsToPass(settings: GateSettings): number {
  const { leastRequests } = chosenGate(settings);
  if (leastRequests !== undefined) return leastRequests;
  const usual = usualShare({ requests: 10_000, bad: 0 });
  return goodRequestsTo(oddsToPass, usual, worseThan(usual), { requests: 0, bad: 0 });
}

function duration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds / 10) * 10} s` : `${counted(Math.ceil(seconds / 60), 'minute')}`;
}
