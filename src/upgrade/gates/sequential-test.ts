/**
 * Is the share of bad requests worse than usual? A sequential test that may be evaluated any number of times, for
 * samples of any size; pure numbers, no upgrade. A share is 0 to 1. docs/adr/0028-gates-judge-sequentially.md has the
 * reasons and sources.
 *
 * Invariant: if the true share is no worse than `usual`, the probability that {@link evidenceAgainst} ever reaches x,
 * at any evaluation, is at most 1/x (Ville's inequality). It is a mixture of likelihood ratios, each a supermartingale,
 * and remains one when the evidence of a stretch of time is bounded.
 */

/** Counts of a stretch of time, or of all. */
export interface Trial {
  requests: number;
  bad: number;
}

/** Where the alternatives lie between the usual share and 1; each has the same weight. */
const alternatives = [0.04, 0.1, 0.2, 0.4, 0.8];

/**
 * Maximum evidence of one stretch of time. Requests of the same seconds fail together (a link reconnects, a database
 * restarts), so no single stretch may fail a gate.
 */
const defaultMaxOfOneStretch = 20;

/** Evidence that more than `usual` are bad, as an e-value: 1 says nothing, 100 happens by chance once in 100 times. */
export function evidenceAgainst(
  usual: number,
  stretches: readonly Trial[],
  maxOfOneStretch = defaultMaxOfOneStretch,
): number {
  if (usual >= 1) return 1;
  const most = Math.log(maxOfOneStretch);
  return alternatives
    .map((distance) => {
      const worse = usual + (1 - usual) * distance;
      const log = stretches.reduce((sum, stretch) => sum + Math.min(most, -logRatio(usual, worse, stretch)), 0);
      return Math.exp(log) / alternatives.length;
    })
    .reduce((sum, each) => sum + each, 0);
}

/**
 * Logarithm of how many times better `usual` explains what was seen than `worse` does. If `worse` is true, the
 * probability that it ever reaches ln(x), at any evaluation, is at most 1/x.
 */
export function logRatio(usual: number, worse: number, seen: Trial): number {
  return (
    seen.bad * Math.log(usual / worse) +
    (seen.requests - seen.bad) * Math.log((1 - usual) / (1 - Math.min(worse, 0.999)))
  );
}

/** How many more requests, all of them good, bring {@link logRatio} to `goal`. */
export function goodRequestsTo(goal: number, usual: number, worse: number, seen: Trial): number {
  const lacking = goal - logRatio(usual, worse, seen);
  return lacking <= 0 ? 0 : Math.ceil(lacking / Math.log((1 - usual) / (1 - Math.min(worse, 0.999))) - 1e-9);
}

/** The prior: as if 1 of 100 requests had been bad. */
const prior = { bad: 1, good: 99 };
/** No usual share is taken to be lower than this, however long nothing went wrong. */
const minUsualShare = 0.01;

/** A cautious upper value of the usual share: what was seen and the prior, two standard deviations above the mean. */
export function usualShare(seen: Trial): number {
  const total = seen.requests + prior.bad + prior.good;
  const mean = (seen.bad + prior.bad) / total;
  return Math.min(1, Math.max(minUsualShare, mean + 2 * Math.sqrt((mean * (1 - mean)) / (total + 1))));
}
