/**
 * A seeded search for the dearest input: recipes (units that are repeated, wrapped in levels, set into a frame) are thrown
 * like dice, and the best are changed a little again and again.
 *
 * A recipe says nothing about size, so that the same one can be cooked at half of it: what costs more than in proportion is
 * found by that. The same seed tries the same recipes in the same order, as far as measured times agree.
 */
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';

export interface Recipe {
  /** Words one after the other, by number: repeated until the size is reached. */
  unit: number[];
  /** Wraps around it, outermost first, each by number; gone through again for every level. */
  wraps: number[];
  levels: number;
  frame: number;
  /** How much of the size that is allowed is used. */
  share: number;
}

/** Whose bytes they are: only strangers are held to the goal, the others have something to lose. */
export type Origin = 'stranger' | 'device' | 'component' | 'administrator';

export interface Kitchen {
  name: string;
  from: Origin;
  /** What may come of it, in bytes. */
  limitBytes: number;
  words: number;
  wraps: number;
  frames: number;
  maxLevels: number;
  cook(recipe: Recipe, sizeBytes: number): Buffer;
  /** Brings the input to where it is taken from; not measured. */
  place?(input: Buffer): Promise<void>;
  /** Another maker of large inputs, which cannot be cooked at half of their size. */
  generate?(random: SeededRandom): Buffer;
  /** Takes the input as the program does; what it throws is an answer like another. */
  eat(input: Buffer): unknown;
}

export interface Found {
  /** Null for an input of the other maker. */
  recipe: Recipe | null;
  sizeBytes: number;
  /** Milliseconds of event loop. */
  busyMs: number;
  /** The same recipe at a half and at a quarter of the size; null for an input of the other maker. */
  smaller: { halfMs: number; quarterMs: number } | null;
  tried: number;
}

/** Milliseconds that an input costs: an estimate, which need not be exact where it is no more than `enough`; or for sure. */
export interface Measure {
  estimate(kitchen: Kitchen, input: Buffer, enough: number): Promise<number>;
  sure(kitchen: Kitchen, input: Buffer): Promise<number>;
}

const keptRecipes = 6;
const repeatsToBeSure = 15;

export async function searchDearest(
  kitchen: Kitchen,
  random: SeededRandom,
  evaluations: number,
  measure: Measure = eventLoopTime,
): Promise<Found> {
  let best: { recipe: Recipe; cost: number }[] = [];
  const consider = async (recipe: Recipe): Promise<void> => {
    const input = kitchen.cook(recipe, sizeOf(kitchen, recipe));
    const enough = best.length < keptRecipes ? 0 : (best.at(-1)?.cost ?? 0);
    best = [...best, { recipe, cost: await measure.estimate(kitchen, input, enough) }]
      .sort((one, other) => other.cost - one.cost)
      .slice(0, keptRecipes);
  };
  await warmUp(kitchen, random);
  const thrown = Math.ceil(evaluations / 2);
  for (let count = 0; count < thrown; count++) await consider(anyRecipe(kitchen, random));
  for (let count = thrown; count < evaluations; count++) {
    await consider(changed(kitchen, random, random.pick(best).recipe));
  }
  const sure: Found[] = [];
  for (const { recipe } of best) {
    const size = sizeOf(kitchen, recipe);
    const input = kitchen.cook(recipe, size);
    const busyMs = await measure.sure(kitchen, input);
    const halfMs = await measure.sure(kitchen, kitchen.cook(recipe, size / 2));
    const quarterMs = await measure.sure(kitchen, kitchen.cook(recipe, size / 4));
    sure.push({ recipe, sizeBytes: input.length, busyMs, smaller: { halfMs, quarterMs }, tried: evaluations });
  }
  const other = await dearestGenerated(kitchen, random.fork('generated'), Math.ceil(evaluations / 2), measure);
  if (other !== undefined) sure.push(other);
  return sure.reduce((dearest, found) => (found.busyMs > dearest.busyMs ? found : dearest));
}

async function dearestGenerated(
  kitchen: Kitchen,
  random: SeededRandom,
  evaluations: number,
  measure: Measure,
): Promise<Found | undefined> {
  let dearest: { input: Buffer; cost: number } | undefined;
  for (let count = 0; kitchen.generate !== undefined && count < evaluations; count++) {
    const input = kitchen.generate(random);
    const cost = await measure.estimate(kitchen, input, dearest?.cost ?? 0);
    if (dearest === undefined || cost > dearest.cost) dearest = { input, cost };
  }
  if (dearest === undefined) return undefined;
  const { input } = dearest;
  const busyMs = await measure.sure(kitchen, input);
  return { recipe: null, sizeBytes: input.length, busyMs, smaller: null, tried: evaluations };
}

/**
 * Milliseconds for which the event loop was busy, waiting (for a database) left out: what nobody else was served in. The
 * processor's own account of a thread is too coarse for a single input on many systems.
 */
async function costOf(kitchen: Kitchen, input: Buffer): Promise<number> {
  await kitchen.place?.(input);
  const [before, startedAt] = [performance.eventLoopUtilization(), performance.now()];
  try {
    const eaten = kitchen.eat(input);
    if (eaten instanceof Promise) {
      await eaten;
      return performance.eventLoopUtilization(before).active;
    }
  } catch {
    // Refused: that is what most inputs are for.
  }
  return performance.now() - startedAt;
}

/**
 * What an input costs by itself. A neighbour on the machine makes it dear now and then, so the least of several times
 * counts; or, on a machine so busy that none was undisturbed, the processor's account, which is exact on the average.
 */
async function sureCost(kitchen: Kitchen, input: Buffer): Promise<number> {
  const before = process.threadCpuUsage();
  const least = await leastCost(kitchen, input, repeatsToBeSure);
  const { user, system } = process.threadCpuUsage(before);
  return Math.min(least, (user + system) / 1000 / repeatsToBeSure);
}

const eventLoopTime: Measure = {
  estimate: (kitchen, input, enough) => leastCost(kitchen, input, 3, enough),
  sure: sureCost,
};

/** Ends early when one of the times shows that it costs no more than `enough`. */
async function leastCost(kitchen: Kitchen, input: Buffer, times: number, enough = 0): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let count = 0; count < times && least > enough; count++) least = Math.min(least, await costOf(kitchen, input));
  return least;
}

/** Code that has not run yet is compiled at the expense of the first input. */
async function warmUp(kitchen: Kitchen, random: SeededRandom): Promise<void> {
  for (let count = 0; count < 20; count++) {
    await costOf(kitchen, kitchen.cook(anyRecipe(kitchen, random.fork('warm')), Math.min(kitchen.limitBytes, 2048)));
  }
}

function sizeOf(kitchen: Kitchen, recipe: Recipe): number {
  return Math.max(1, Math.floor(kitchen.limitBytes * recipe.share));
}

function anyRecipe(kitchen: Kitchen, random: SeededRandom): Recipe {
  return {
    unit: Array.from({ length: 1 + random.integer(4) }, () => random.integer(kitchen.words)),
    wraps: Array.from({ length: random.integer(3) }, () => random.integer(Math.max(1, kitchen.wraps))),
    levels: anyLevels(kitchen, random),
    frame: random.integer(kitchen.frames),
    share: random.pick([1, 1, 1, 0.5, 0.1]),
  };
}

function anyLevels({ maxLevels }: Kitchen, random: SeededRandom): number {
  return random.pick([0, 1, 2, random.integer(34), random.integer(maxLevels + 1)]);
}

function changed(kitchen: Kitchen, random: SeededRandom, recipe: Recipe): Recipe {
  const next = { ...recipe, unit: [...recipe.unit], wraps: [...recipe.wraps] };
  switch (random.integer(7)) {
    case 0:
      next.unit[random.integer(next.unit.length)] = random.integer(kitchen.words);
      break;
    case 1:
      next.unit.splice(random.integer(next.unit.length + 1), 0, random.integer(kitchen.words));
      break;
    case 2:
      if (next.unit.length > 1) next.unit.splice(random.integer(next.unit.length), 1);
      break;
    case 3:
      next.wraps = Array.from({ length: random.integer(3) }, () => random.integer(Math.max(1, kitchen.wraps)));
      break;
    case 4:
      next.levels = random.chance(0.5) ? anyLevels(kitchen, random) : Math.max(0, next.levels + random.integer(5) - 2);
      break;
    case 5:
      next.frame = random.integer(kitchen.frames);
      break;
    default:
      next.share = random.pick([1, 0.9, 0.5, 0.25]);
  }
  return next;
}
