/**
 * How often gates are wrong: waves of simulated traffic, good and bad, judged at every look as the coordinator judges them.
 * Not a unit of work is done by a server here: what is measured is the statistic of `src/upgrade/gates/gate.ts`.
 */

import { gateSettingsSchema } from '../../src/api/upgrade-options.ts';
import { seededRandom } from '../../src/simulator/seeded-random.ts';
import { judgeGate } from '../../src/upgrade/gates/gate.ts';
import { median } from '../median.ts';
import { type Behaviour, logNormalMs, looksAt } from './traffic.ts';

/** Half of a hundredth of all requests fails with any release: devices on trains. */
const good: Behaviour = {
  failing: () => 0.005,
  latencyMs: (random) => logNormalMs(random, 40, 0.6),
  refusing: 0.01,
};
const soakSeconds = 600;

interface Kind {
  name: string;
  bad: boolean;
  behaviour: Behaviour;
}

export const kinds: readonly Kind[] = [
  { name: 'good: as before', bad: false, behaviour: good },
  {
    name: 'good: a fifth slower',
    bad: false,
    behaviour: { ...good, latencyMs: (random) => logNormalMs(random, 48, 0.6) },
  },
  {
    name: 'good: nobody served for 5 s',
    bad: false,
    behaviour: { ...good, failing: (seconds) => (seconds > 300 && seconds <= 305 ? 1 : 0.005) },
  },
  { name: 'bad: 20 % errors', bad: true, behaviour: { ...good, failing: () => 0.2 } },
  { name: 'bad: 10 % errors', bad: true, behaviour: { ...good, failing: () => 0.1 } },
  { name: 'bad: 5 % errors', bad: true, behaviour: { ...good, failing: () => 0.05 } },
  {
    name: 'bad: twice the latency',
    bad: true,
    behaviour: { ...good, latencyMs: (random) => logNormalMs(random, 80, 0.6) },
  },
  {
    name: 'bad: a slow tail (every 10th takes 10 times as long)',
    bad: true,
    behaviour: { ...good, latencyMs: (random) => logNormalMs(random, 40, 0.6) * (random.chance(0.1) ? 10 : 1) },
  },
  {
    name: 'bad: a crash every minute',
    bad: true,
    behaviour: { ...good, failing: (seconds) => (seconds % 60 < 4 ? 1 : 0.005), crashesEvery: 60 },
  },
  {
    name: 'bad: memory grows (8 times as slow at the end)',
    bad: true,
    behaviour: {
      ...good,
      latencyMs: (random, seconds) => logNormalMs(random, 40, 0.6) * (1 + (7 * seconds) / soakSeconds),
    },
  },
  { name: 'bad: 4 of 10 devices refuse their policy', bad: true, behaviour: { ...good, refusing: 0.4 } },
];

export const sampleSizes = [5, 10, 20, 50, 100, 200, 500, 1000, 3000, 10_000] as const;

export interface GateFigure {
  kind: string;
  bad: boolean;
  requests: number;
  waves: number;
  /** Shares of the waves: failed at some look; passed at the end; neither. */
  failed: number;
  passed: number;
  undecided: number;
  /** Median of seconds to the failure, of those that failed; the last one of all. */
  secondsToFail: number | null;
  slowestToFail: number | null;
}

export interface GateBench {
  seed: string;
  figures: GateFigure[];
  /** Goals that were missed by more than chance, each in a sentence. */
  missed: string[];
}

/** @param waves simulated for each kind and size; of those with more than 500 requests a fifth */
export function benchGates(options: {
  seed: string;
  waves: number;
  sizes?: readonly number[];
  say?: (text: string) => void;
}): GateBench {
  const figures: GateFigure[] = [];
  for (const kind of kinds) {
    for (const requests of options.sizes ?? sampleSizes) {
      const waves = Math.max(20, requests > 500 ? Math.round(options.waves / 5) : options.waves);
      const figure = measure(kind, requests, waves, options.seed);
      figures.push(figure);
      options.say?.(lineOf(figure));
    }
  }
  return { seed: options.seed, figures, missed: figures.flatMap(missedBy) };
}

/** Of every kind and size: good ones that fail; bad ones of a tenth and more errors that pass; crashes that take too long. */
const goals = { falseAlarms: 0.01, misses: 0.01, crashSeconds: 180 } as const;

function missedBy(figure: GateFigure): string[] {
  const { kind, bad, requests, failed, passed, waves, slowestToFail } = figure;
  // Three standard deviations above the goal: a goal that is just met is not missed by chance.
  const byChance = 3 * Math.sqrt(goals.misses / waves);
  const where = `${kind}, ${requests} requests`;
  if (!bad && failed > goals.falseAlarms + byChance) return [`${where}: ${failed} fail`];
  if (/[12]0 % errors/.test(kind) && passed > goals.misses + byChance) return [`${where}: ${passed} pass`];
  if (!kind.includes('crash')) return [];
  const slow = failed < 1 || (slowestToFail ?? Number.POSITIVE_INFINITY) > goals.crashSeconds;
  return slow ? [`${where}: ${failed} fail, the last after ${slowestToFail} s`] : [];
}

export function describeGoals({ seed, missed }: GateBench): string {
  const said = missed.length === 0 ? 'The goals are reached.' : `Goals that are missed:\n  ${missed.join('\n  ')}`;
  return `${said} Seed ${seed}.`;
}

const settings = gateSettingsSchema.parse({});

function measure(kind: Kind, requests: number, waves: number, seed: string): GateFigure {
  const failedAt: number[] = [];
  let passed = 0;
  for (let wave = 0; wave < waves; wave++) {
    const random = seededRandom(`${seed}/${kind.name}/${requests}/${wave}`);
    const traffic = {
      requests,
      seconds: soakSeconds,
      behaviour: kind.behaviour,
      usual: good,
      past: 2000,
      unmoved: 500,
    };
    let last = 'undecided';
    for (const figures of looksAt(traffic, random)) {
      last = judgeGate(figures, settings).answer;
      if (last !== 'fail') continue;
      failedAt.push(figures.seconds);
      break;
    }
    if (last === 'pass') passed++;
  }
  return {
    ...{ kind: kind.name, bad: kind.bad, requests, waves },
    failed: failedAt.length / waves,
    passed: passed / waves,
    undecided: (waves - failedAt.length - passed) / waves,
    secondsToFail: failedAt.length === 0 ? null : median(failedAt),
    slowestToFail: failedAt.length === 0 ? null : Math.max(...failedAt),
  };
}

export function lineOf(figure: GateFigure): string {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`.padStart(8);
  const time = figure.secondsToFail === null ? '' : `  fails after ${figure.secondsToFail.toFixed(0)} s (median)`;
  return (
    `${figure.kind.padEnd(54)} ${String(figure.requests).padStart(6)}  fail ${percent(figure.failed)}  pass ` +
    `${percent(figure.passed)}  undecided ${percent(figure.undecided)}${time}`
  );
}
