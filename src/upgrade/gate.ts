/**
 * The gate between two waves, as a pure rule: figures in, pass, fail or undecided out. Whatever cannot be judged (no
 * sample, too small a sample, figures that are no numbers) is undecided, and undecided never passes.
 *
 * Moved accounts are compared with their own past and, while there are any, with accounts not yet moved: an error rate
 * counts as worse only where it is worse than the worse of the two, so that a bad day for everybody is not put down to the
 * new release. Deliveries are held against an absolute bound.
 */
import { z } from 'zod';
import type { GateSettings } from './plan-options.ts';

const count = z.number().int().nonnegative().finite();

const requestSampleSchema = z.object({
  requests: count,
  /** Answered 5xx, or not at all. */
  errors: count,
  latencyMsSum: z.number().nonnegative().finite(),
});

/** What a gate is asked about. */
export const gateFiguresSchema = z.object({
  /** Routine requests of the moved accounts at their new instance, since the window began. */
  moved: requestSampleSchema,
  /** The same accounts at their instance before the move. */
  before: requestSampleSchema,
  /** Accounts not yet moved, in the window; null when there are none left. */
  unmoved: requestSampleSchema.nullable(),
  deliveries: z.object({ done: count, failed: count, open: count }),
});
export type RequestSample = z.output<typeof requestSampleSchema>;
export type GateFigures = z.output<typeof gateFiguresSchema>;

export type GateAnswer =
  | { answer: 'pass'; reasons: string[]; figures: GateFigures }
  | { answer: 'fail'; reasons: string[]; figures: GateFigures }
  | { answer: 'undecided'; cause: 'sample' | 'unreadable'; reasons: string[]; figures: GateFigures | null };

/** Judges a wave. `figures` is whatever came from the samples: it is parsed here, and undecided when it does not parse. */
export function judgeGate(figures: unknown, settings: GateSettings): GateAnswer {
  const parsed = gateFiguresSchema.safeParse(figures);
  if (!parsed.success) {
    const place = parsed.error.issues[0]?.path.join('.') ?? '';
    return {
      answer: 'undecided',
      cause: 'unreadable',
      reasons: [`the figures cannot be read${place === '' ? '' : ` at ${place}`}`],
      figures: null,
    };
  }
  const read = parsed.data;
  const failures = [...requestFailures(read, settings), ...deliveryFailures(read, settings)];
  if (failures.length > 0) return { answer: 'fail', reasons: failures, figures: read };
  if (read.moved.requests < settings.leastRequests) {
    return {
      answer: 'undecided',
      cause: 'sample',
      reasons: [`${read.moved.requests} requests of moved accounts are too few: ${settings.leastRequests} are needed`],
      figures: read,
    };
  }
  return { answer: 'pass', reasons: passReasons(read), figures: read };
}

/** Errors fail a gate also before the sample is complete, as soon as they cannot be a few stray ones. */
const fewErrors = 3;

function requestFailures(figures: GateFigures, settings: GateSettings): string[] {
  const { moved } = figures;
  if (moved.requests === 0) return [];
  const failures: string[] = [];
  const complete = moved.requests >= settings.leastRequests;
  const usual = Math.max(errorRate(figures.before), figures.unmoved === null ? 0 : errorRate(figures.unmoved));
  const rate = errorRate(moved);
  if ((complete || moved.errors >= fewErrors) && rate - usual > settings.maxErrorRateDifference) {
    failures.push(
      `${percent(rate)} of the moved accounts’ ${moved.requests} requests failed, where ${percent(usual)} is usual`,
    );
  }
  const usualLatency = usualLatencyMs(figures);
  const latency = meanLatencyMs(moved);
  if (
    complete &&
    usualLatency !== undefined &&
    latency > usualLatency * settings.latencyFactor &&
    latency - usualLatency > settings.latencySlackMs
  ) {
    failures.push(`a request takes ${ms(latency)} in the mean, where ${ms(usualLatency)} is usual`);
  }
  return failures;
}

function deliveryFailures(figures: GateFigures, settings: GateSettings): string[] {
  const { done, failed } = figures.deliveries;
  const answered = done + failed;
  if (answered === 0 || failed / answered <= settings.maxFailedDeliveryShare) return [];
  return [`${failed} of ${answered} deliveries failed`];
}

function passReasons(figures: GateFigures): string[] {
  return [
    `${figures.moved.requests} requests, ${figures.moved.errors} failed, ${ms(meanLatencyMs(figures.moved))} in the mean`,
  ];
}

/** 0 for an empty sample. */
export function errorRate(sample: RequestSample): number {
  return sample.requests === 0 ? 0 : sample.errors / sample.requests;
}

export function meanLatencyMs(sample: RequestSample): number {
  return sample.requests === 0 ? 0 : sample.latencyMsSum / sample.requests;
}

function usualLatencyMs(figures: GateFigures): number | undefined {
  const samples = [figures.before, figures.unmoved].filter((sample) => sample !== null && sample.requests > 0);
  const means = samples.map((sample) => (sample === null ? 0 : meanLatencyMs(sample)));
  return means.length === 0 ? undefined : Math.max(...means);
}

function percent(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
