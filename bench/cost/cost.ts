/** `npm run bench -- cost`: the dearest input found for each address and parser, against the goal for a stranger's request. */
import { seededRandom } from '../../src/simulator/seeded-random.ts';
import { addressKitchens } from './addresses.ts';
import { parserKitchens } from './parsers.ts';
import { type Found, type Kitchen, type Origin, searchDearest } from './search.ts';

/** Event loop that a stranger's request may take. */
export const goalMs = 20;
/**
 * Twice the size may cost this much more, and it is still in proportion: small times are not exact. Counted is the smaller of
 * two steps, since one of them may meet the collection of garbage.
 */
const maxGrowth = 3;
const exactFromMs = 2;

export interface CostRow {
  what: string;
  from: Origin;
  limitBytes: number;
  sizeBytes: number;
  busyMs: number;
  halfSizeMs: number | null;
  /** By how much twice the size costs more. */
  growth: number | null;
  verdict: 'ok' | 'too dear' | 'grows faster than its size';
  recipe: Found['recipe'];
}

export interface CostReport {
  seed: string;
  goalMs: number;
  tries: number;
  rows: CostRow[];
  reached: boolean;
}

export async function benchCost(options: {
  seed: string;
  tries: number;
  /** A part of the names of what is searched; all without it. */
  only?: string | undefined;
  say: (text: string) => void;
}): Promise<CostReport> {
  const { seed, tries, only = '', say } = options;
  const addresses = await addressKitchens();
  try {
    const kitchens = [...addresses.kitchens, ...(await parserKitchens())].filter(({ name }) =>
      name.toLowerCase().includes(only.toLowerCase()),
    );
    const rows: CostRow[] = [];
    for (const kitchen of kitchens) {
      say(`searching for the dearest input of ${kitchen.name}`);
      rows.push(rowOf(kitchen, await searchDearest(kitchen, seededRandom(`${seed}/${kitchen.name}`), tries)));
    }
    return { seed, goalMs, tries, rows, reached: rows.every((row) => row.verdict === 'ok') };
  } finally {
    await addresses.close();
  }
}

export function rowOf(kitchen: Pick<Kitchen, 'name' | 'from' | 'limitBytes'>, found: Found): CostRow {
  const growth = found.smaller === null ? null : growthOf(found.busyMs, found.smaller);
  const fast = found.busyMs >= exactFromMs && growth !== null && growth > maxGrowth;
  const dear = kitchen.from === 'stranger' && found.busyMs > goalMs;
  return {
    what: kitchen.name,
    from: kitchen.from,
    limitBytes: kitchen.limitBytes,
    sizeBytes: found.sizeBytes,
    busyMs: found.busyMs,
    halfSizeMs: found.smaller?.halfMs ?? null,
    growth,
    verdict: dear ? 'too dear' : fast ? 'grows faster than its size' : 'ok',
    recipe: found.recipe,
  };
}

function growthOf(busyMs: number, { halfMs, quarterMs }: NonNullable<Found['smaller']>): number {
  const step = (larger: number, smaller: number) => larger / Math.max(smaller, 0.001);
  return Math.min(step(busyMs, halfMs), step(halfMs, quarterMs));
}

export function describeCost({ seed, tries, rows, reached }: CostReport): string {
  const width = Math.max(...rows.map((row) => row.what.length), 4);
  const lines = rows.map(
    (row) =>
      `${row.what.padEnd(width)}  ${row.from.padEnd(13)}  ${row.busyMs.toFixed(2).padStart(8)}  ${(row.halfSizeMs?.toFixed(2) ?? '-').padStart(8)}  ` +
      `×${(row.growth?.toFixed(1) ?? '-').padStart(4)}  ${String(row.sizeBytes).padStart(9)}  ${row.verdict}`,
  );
  return [
    `${'what'.padEnd(width)}  ${'sent by'.padEnd(13)}  ${'ms'.padStart(8)}  ${'at half'.padStart(8)}  ${'growth'.padStart(5)}  ${'bytes'.padStart(9)}  of a stranger ${goalMs} ms; of all in proportion`,
    ...lines,
    `seed ${seed}, ${tries} recipes each; ${reached ? 'the goal is reached' : 'THE GOAL IS MISSED'}`,
  ].join('\n');
}
