/**
 * What a gate compares: shares of bad requests (or devices), each tested against the usual share by the sequential
 * test: failed requests; requests slower than p50, p95 and p99 allow; refused and unanswered deliveries.
 *
 * The probability of a false alarm, 1 in {@link evidenceToFail}, is divided among them: the parts sum to 1.
 */
import { counted } from '../../base/counted.ts';
import {
  countOf,
  type LatencyHistogram,
  lowerBoundMs,
  mergeHistograms,
  quantileMs,
} from '../../base/latency-histogram.ts';
import type { ChosenGate } from '../state/plan-options.ts';
import type { Baseline, GateFigures } from './gate-figures.ts';
import { type Trial, usualShare } from './sequential-test.ts';

export interface Comparison {
  usual: number;
  /** Evidence that more than `usual` are bad, from which on it fails. */
  evidenceToFail: number;
  stretches: Trial[];
  /** What has to be ruled out before a gate opens; without it the comparison can only keep the gate closed. */
  toPass?: { usual: number; worse: number };
  /** Maximum evidence of one stretch of ten seconds, as an e-value; default: that of the test. */
  maxOfOneStretch?: number;
  /** The problem if it fails. */
  says: (seen: Trial) => string;
}

/** A good release fails at most 1 in 200 windows. A wave has two: while it moves, and while it is observed. */
const evidenceToFail = 200;
const part = { requests: 0.5, tail: 0.1, refused: 0.1, silent: 0.1 };

/** Shares that a gate must detect whatever is usual: a tenth, or the usual share plus the excess if that is more. */
const intolerableShare = 0.1;
const intolerableExcess = 0.07;
export const worseThan = (usual: number): number => Math.max(intolerableShare, usual + intolerableExcess);

/** Tolerating every failed request, as in tests that kill processes, disables the availability gate. */
export function toleratesEveryFailure(gate: ChosenGate): boolean {
  return (gate.maxErrorRateDifference ?? 0) >= 1;
}

export function requestsComparison(figures: GateFigures, gate: ChosenGate): Comparison {
  const usual = usualFailures(figures);
  const tolerated = usual + (gate.maxErrorRateDifference ?? 0);
  return {
    usual: tolerated,
    evidenceToFail: evidenceToFail / part.requests,
    stretches: figures.moved.map(({ requests, failed }) => ({ requests, bad: failed })),
    ...(tolerated >= 1 ? {} : { toPass: { usual, worse: Math.max(tolerated, worseThan(usual)) } }),
    says: (seen) =>
      `${percent(seen.bad / seen.requests)} of the moved accounts’ ${counted(seen.requests, 'request')} failed; up ` +
      `to ${percent(usual)} is usual`,
  };
}

/** Requests from which on a past is long enough to compare with. */
const minBaseline = 50;

/** The worse of the accounts' own past and that of accounts not moved; both together if neither is long enough. */
function usualFailures(figures: GateFigures): number {
  const trials = baselinesOf(figures).map(({ requests, failed }) => ({ requests, bad: failed }));
  const known = trials.filter(({ requests }) => requests >= minBaseline);
  return known.length === 0 ? usualShare(sumOf(trials)) : Math.max(...known.map(usualShare));
}

const tails = [
  { name: 'p50', share: 0.5, minBaseline: 50 },
  { name: 'p95', share: 0.95, minBaseline: 100 },
  { name: 'p99', share: 0.99, minBaseline: 300 },
] as const;

/** A process has to be slow for a minute before it fails: it may be cold, or disturbed by another one. */
const maxOfOneSlowStretch = 5;

const nearestBin = (ms: number): number => Math.round(2 * Math.log2(Math.max(1, ms)));
const binAbove = (ms: number): number => Math.ceil(2 * Math.log2(Math.max(1, ms)));

/**
 * A tail is too slow if more requests exceed its bound (the usual latency times the factor, and at least plus the
 * slack) than would if all took √factor as long. Between that and the factor a gate may answer either way. Bounds are
 * those of bins, so that past and present are counted alike. Tails with too short a past are not judged, except p50:
 * unless a number of requests was chosen, it has to be shown to be within its bound all the same.
 */
export function tailComparisons(figures: GateFigures, gate: ChosenGate): Comparison[] {
  return tails.flatMap((tail) => {
    const known = knownLatencies(figures, tail.minBaseline);
    if (known.length > 0) return [tailComparison(figures, gate, tail, known)];
    return tail.name === 'p50' && gate.leastRequests === undefined ? [medianWithoutPast(figures, gate)] : [];
  });
}

function tailComparison(
  figures: GateFigures,
  gate: ChosenGate,
  { name, share }: (typeof tails)[number],
  known: readonly LatencyHistogram[],
): Comparison {
  const usualMs = Math.max(0, ...known.map((past) => quantileMs(past, share) ?? 0));
  const boundBin = Math.max(nearestBin(usualMs * gate.latencyFactor), binAbove(usualMs + gate.latencySlackMs));
  const toleratedBin = Math.round(boundBin - Math.log2(gate.latencyFactor));
  const usualAbove = (bin: number) => Math.max(...known.map((past) => usualShare(trialAbove(past, bin))));
  const usual = usualAbove(boundBin);
  return {
    usual: usualAbove(toleratedBin),
    evidenceToFail: evidenceToFail / part.tail,
    maxOfOneStretch: maxOfOneSlowStretch,
    stretches: figures.moved.map(({ latency }) => trialAbove(latency, boundBin)),
    toPass: { usual, worse: name === 'p50' ? Math.max(0.4, usual + 0.1) : worseThan(usual) },
    says: (seen) =>
      `${percent(seen.bad / seen.requests)} of ${counted(seen.requests, 'request')} took longer than ` +
      `${lowerBoundMs(boundBin).toFixed(0)} ms; the usual ${name} is ${usualMs.toFixed(0)} ms and up to ` +
      `${percent(usual)} is normal; they take ` +
      `${describeTails(mergeHistograms(...figures.moved.map(({ latency }) => latency)))}`,
  };
}

/**
 * By the instances' own figures, which do not include the way to the device; or by the slack alone, which nobody
 * notices. Neither is certain enough to fail a release.
 */
function medianWithoutPast(figures: GateFigures, gate: ChosenGate): Comparison {
  const [p50] = tails;
  const { beforeByInstances } = figures;
  const isTold = countOf(beforeByInstances) >= p50.minBaseline;
  const comparison = tailComparison(figures, gate, p50, [isTold ? beforeByInstances : []]);
  return {
    ...comparison,
    evidenceToFail: Number.POSITIVE_INFINITY,
    says: (seen) =>
      isTold
        ? `${comparison.says(seen)} (past latency as reported by the instances)`
        : `${percent(seen.bad / seen.requests)} of ${counted(seen.requests, 'request')} took longer than ` +
          `${gate.latencySlackMs} ms, and too little is known about their usual latency; they take ` +
          describeTails(mergeHistograms(...figures.moved.map(({ latency }) => latency))),
  };
}

/** The pasts that are long enough to compare with; both together if neither is. */
function knownLatencies(figures: Pasts, least: number): LatencyHistogram[] {
  const pasts = baselinesOf(figures).map(({ latency }) => latency);
  const known = pasts.filter((past) => countOf(past) >= least);
  const all = mergeHistograms(...pasts);
  return known.length > 0 || countOf(all) < least ? known : [all];
}

/** A comparison that fails only if it says so; its evidence is not limited by stretches of time. */
const neverFails = { evidenceToFail: Number.POSITIVE_INFINITY, maxOfOneStretch: Number.POSITIVE_INFINITY };

/**
 * Devices are counted, not deliveries: a device that refuses one refuses all. The bounds are absolute. Only what a
 * device was handed can fail a gate; a device that does not connect may have its own reasons, and only keeps the gate
 * closed.
 */
export function deliveryComparisons({ deliveries, usuallyMissing }: GateFigures, gate: ChosenGate): Comparison[] {
  const { done, failed, silent } = deliveries;
  const answered = done + failed;
  const allowed = gate.maxSilentDeliveryShare;
  return [
    {
      ...{ ...neverFails, usual: gate.maxFailedDeliveryShare, evidenceToFail: evidenceToFail / part.refused },
      stretches: [{ requests: answered, bad: failed }],
      says: () => `deliveries failed on ${failed} of ${counted(answered, 'device')} that answered`,
    },
    {
      ...{ ...neverFails, usual: allowed, evidenceToFail: evidenceToFail / part.silent },
      stretches: [{ requests: answered + silent, bad: silent }],
      says: () => `${silent} of ${counted(answered + silent, 'device')} received a delivery and have not answered`,
    },
    ...(toleratesEveryFailure(gate) ? [] : comingComparisons({ deliveries, usuallyMissing }, allowed)),
  ];
}

/** Devices that have connected without taking it, and those that have not connected. */
function comingComparisons(
  { deliveries, usuallyMissing }: Pick<GateFigures, 'deliveries' | 'usuallyMissing'>,
  allowed: number,
): Comparison[] {
  const { done, failed, silent, open, missing } = deliveries;
  const came = done + failed + silent + open;
  return [
    {
      ...{ ...neverFails, usual: allowed },
      stretches: open === 0 ? [] : [{ requests: came, bad: silent + open }],
      says: () =>
        `of ${counted(came, 'device that has', 'devices that have')} come, the deliveries of ${silent + open} are open`,
    },
    {
      ...{ ...neverFails, usual: Math.max(allowed, usualShare(usuallyMissing)) },
      stretches: [{ requests: came + missing, bad: missing }],
      says: () =>
        `${missing} of ${counted(came + missing, 'device')} came shortly before their move, and have not come since; of the devices not ` +
        `moved ${usuallyMissing.bad} of ${usuallyMissing.requests}`,
    },
  ];
}

/** Whether routers know enough of the past to compare p50 with it. */
export function isMedianKnown(pasts: Pasts): boolean {
  return knownLatencies(pasts, tails[0].minBaseline).length > 0;
}

/** Tails that cannot be compared, because too little is known about how long requests usually take. */
export function tailsWithoutPast(figures: GateFigures): string[] {
  return tails.filter(({ minBaseline }) => knownLatencies(figures, minBaseline).length === 0).map(({ name }) => name);
}

export function describeTails(latency: LatencyHistogram): string {
  return tails.map(({ name, share }) => `${name} ${(quantileMs(latency, share) ?? 0).toFixed(0)} ms`).join(', ');
}

export function sumOf(trials: readonly Trial[]): Trial {
  return trials.reduce((sum, { requests, bad }) => ({ requests: sum.requests + requests, bad: sum.bad + bad }), {
    requests: 0,
    bad: 0,
  });
}

type Pasts = Pick<GateFigures, 'before' | 'unmoved'>;

function baselinesOf({ before, unmoved }: Pasts): Baseline[] {
  return unmoved === null ? [before] : [before, unmoved];
}

function trialAbove(histogram: LatencyHistogram, bin: number): Trial {
  return { requests: countOf(histogram), bad: countOf(histogram.slice(Math.max(0, bin))) };
}

function percent(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}
