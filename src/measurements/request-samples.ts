/**
 * How the routine requests of each account fare at this instance: counted in memory, written every few seconds in one
 * statement. A killed process loses a few seconds of samples, which a gate sees as a smaller sample.
 */
import type { AccountId, InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';

export interface RequestSamples {
  /** `failed` for a 5xx answer. */
  add(accountId: AccountId, latencyMs: number, failed: boolean): void;
  /** Writes the counts since the last time. */
  flush(q: Queryable): Promise<void>;
}

interface Sample {
  requests: number;
  errors: number;
  latencyMsSum: number;
  latencyMsMax: number;
}

export function createRequestSamples(instanceId: InstanceId): RequestSamples {
  let samples = new Map<AccountId, Sample>();
  return {
    add(accountId, latencyMs, failed) {
      const sample = samples.get(accountId) ?? { requests: 0, errors: 0, latencyMsSum: 0, latencyMsMax: 0 };
      sample.requests++;
      if (failed) sample.errors++;
      sample.latencyMsSum += latencyMs;
      sample.latencyMsMax = Math.max(sample.latencyMsMax, latencyMs);
      samples.set(accountId, sample);
    },
    async flush(q) {
      if (samples.size === 0) return;
      const batch = samples;
      samples = new Map();
      try {
        await storeSamples(q, instanceId, [...batch]);
      } catch (error) {
        for (const [accountId, sample] of batch) samples.set(accountId, sum(sample, samples.get(accountId)));
        throw error;
      }
    },
  };
}

function sum(a: Sample, b: Sample | undefined): Sample {
  if (b === undefined) return a;
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    latencyMsSum: a.latencyMsSum + b.latencyMsSum,
    latencyMsMax: Math.max(a.latencyMsMax, b.latencyMsMax),
  };
}

/** Adds to the current ten-second bucket, by the database's clock; relies on the primary key. */
async function storeSamples(q: Queryable, instanceId: InstanceId, batch: [AccountId, Sample][]): Promise<void> {
  await q`
    insert into request_sample (instance_id, account_id, bucket, requests, errors, latency_ms_sum, latency_ms_max)
    select ${instanceId}, s.account_id, date_bin('10 seconds', now(), 'epoch'), s.requests, s.errors, s.latency_ms_sum,
           s.latency_ms_max
      from unnest(${batch.map(([id]) => id)}::uuid[], ${batch.map(([, s]) => s.requests)}::int[],
                  ${batch.map(([, s]) => s.errors)}::int[], ${batch.map(([, s]) => s.latencyMsSum)}::float8[],
                  ${batch.map(([, s]) => s.latencyMsMax)}::float8[])
             as s(account_id, requests, errors, latency_ms_sum, latency_ms_max)
     order by s.account_id
    on conflict (account_id, bucket, instance_id) do update
       set requests = request_sample.requests + excluded.requests, errors = request_sample.errors + excluded.errors,
           latency_ms_sum = request_sample.latency_ms_sum + excluded.latency_ms_sum,
           latency_ms_max = greatest(request_sample.latency_ms_max, excluded.latency_ms_max)`;
}
