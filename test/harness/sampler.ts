/** Samples the domain by plain SQL, many times a second, and checks what must hold at all times. */
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { compareReleases } from '../../src/base/release-number.ts';

export interface Samples {
  /** Looks at the budget, and those at which it was overdrawn. */
  budgetChecks: number;
  budgetBroken: number;
  maxInFlight: number;
  maxSuspects: number;
  levelChecks: number;
  levelBroken: number;
}

export interface Sampler {
  readonly samples: Samples;
  stop(): Promise<Samples>;
}

const intervalMs = 100;

/** `inFlight` counts budgeted deliveries in the hands of devices; the budget is the one that the demo set. */
export function startSampler(sql: postgres.Sql, budget: { perDomain: number; suspects: number }): Sampler {
  const samples: Samples = {
    budgetChecks: 0,
    budgetBroken: 0,
    maxInFlight: 0,
    maxSuspects: 0,
    levelChecks: 0,
    levelBroken: 0,
  };
  const ending = new AbortController();
  const running = (async () => {
    while (!ending.signal.aborted) {
      // The database is being restarted: there is nothing to sample.
      await look(sql, budget, samples).catch(() => {});
      await delay(intervalMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  return {
    samples,
    async stop() {
      ending.abort();
      await running;
      return samples;
    },
  };
}

async function look(sql: postgres.Sql, budget: { perDomain: number; suspects: number }, samples: Samples) {
  const [row] = await sql<{ inFlight: number; suspects: number; level: string; releases: string[] }[]>`
    select (select count(*)::int from delivery where budgeted and state = 'handed-out') as "inFlight",
           (select count(*)::int from delivery where budgeted and state = 'suspect') as suspects,
           (select feature_level from domain) as level,
           array(select distinct release from component) as releases`;
  if (!row) return;
  samples.budgetChecks++;
  samples.maxInFlight = Math.max(samples.maxInFlight, row.inFlight);
  samples.maxSuspects = Math.max(samples.maxSuspects, row.suspects);
  if (row.inFlight + row.suspects > budget.perDomain + budget.suspects) samples.budgetBroken++;
  samples.levelChecks++;
  if (row.releases.some((release) => compareReleases(release, row.level) < 0)) samples.levelBroken++;
}
