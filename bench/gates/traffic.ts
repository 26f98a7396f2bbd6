/**
 * Traffic of a wave, simulated: requests of several accounts over some minutes, as a gate's figures would show it at each
 * look. Everything comes from the seed.
 */
import { addLatency } from '../../src/base/latency-histogram.ts';
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';
import type { Baseline, GateFigures, Stretch } from '../../src/upgrade/gates/gate-figures.ts';

/** How a release treats a request that comes `seconds` after its accounts came. */
export interface Behaviour {
  /** The share of requests that fail. */
  failing(seconds: number): number;
  latencyMs(random: SeededRandom, seconds: number): number;
  /** The share of devices that refuse what they are sent. */
  refusing: number;
  /** Unasked ends of the instance, one every so many seconds. */
  crashesEvery?: number;
}

export interface Traffic {
  /** Requests in the window altogether. */
  requests: number;
  seconds: number;
  behaviour: Behaviour;
  usual: Behaviour;
  /** Requests known of the accounts' past, and of accounts not moved in the same window. */
  past: number;
  unmoved: number;
}

/** As {@link GateFigures} keeps it: one stretch. */
const stretchSeconds = 10;
/** Devices per request of the window, so that small samples come from few devices. */
const requestsPerDevice = 5;

/** Of the accounts one makes two fifths of the requests. */
const shareOfBusiest = 0.4;
const accounts = 5;

/** Log-normal, as latencies of servers are. @param spread standard deviation of the logarithm */
export function logNormalMs(random: SeededRandom, medianMs: number, spread: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return medianMs * Math.exp(spread * normal);
}

/** The figures at each look: twice in every stretch of time, and at its end, wherever something is new. */
export function* looksAt(traffic: Traffic, random: SeededRandom): Generator<GateFigures> {
  const { requests, seconds, behaviour, usual } = traffic;
  const before = baseline(usual, traffic.past, random.fork('before'));
  const unmoved = traffic.unmoved === 0 ? null : baseline(usual, traffic.unmoved, random.fork('unmoved'));
  const devices = Math.max(1, Math.round(requests / requestsPerDevice));
  const refused = countOfChances(devices, behaviour.refusing, random.fork('devices'));
  const busiest = { name: 'busiest', requests: 0, failed: 0 };
  const moved: Stretch[] = [];
  const looks = 3;
  const steps = Math.ceil(seconds / stretchSeconds) * looks;
  let made = 0;
  let seen = '';
  for (let step = 1; step <= steps; step++) {
    const now = (step / steps) * seconds;
    if ((step - 1) % looks === 0) moved.push({ requests: 0, failed: 0, latency: [] });
    const stretch = moved.at(-1);
    for (; stretch !== undefined && made < Math.round((requests * step) / steps); made++) {
      const failed = random.chance(behaviour.failing(now));
      stretch.requests++;
      if (failed) stretch.failed++;
      else addLatency(stretch.latency, behaviour.latencyMs(random, now));
      if (!random.chance(shareOfBusiest)) continue;
      busiest.requests++;
      if (failed) busiest.failed++;
    }
    const crashes = behaviour.crashesEvery === undefined ? 0 : Math.floor(now / behaviour.crashesEvery);
    if (seen === `${made} ${crashes}`) continue;
    seen = `${made} ${crashes}`;
    yield {
      ...{ source: 'routers', moved, busiest, before, unmoved, seconds: now },
      accounts: { all: accounts, heard: accounts, unheard: [], away: 0 },
      beforeByInstances: [],
      usuallyMissing: { requests: 0, bad: 0 },
      deliveries: { done: devices - refused, failed: refused, silent: 0, open: 0, missing: 0, excused: 0 },
      interruptions: Array.from({ length: crashes }, () => ({ name: 'server-1', cause: 'exit' })),
      leftOut: { requests: 0, warmUpSeconds: 60 },
    };
  }
}

function baseline(usual: Behaviour, requests: number, random: SeededRandom): Baseline {
  const latency: number[] = [];
  const failed = countOfChances(requests, usual.failing(0), random);
  for (let made = failed; made < requests; made++) addLatency(latency, usual.latencyMs(random, 0));
  return { requests, failed, latency };
}

function countOfChances(tries: number, probability: number, random: SeededRandom): number {
  let count = 0;
  for (let each = 0; each < tries; each++) if (random.chance(probability)) count++;
  return count;
}
