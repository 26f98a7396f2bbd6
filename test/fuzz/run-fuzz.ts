/**
 * Feeds a parser with generated inputs. Every input has dice of its own, out of seed, target and number, so that one that
 * fails can be made again without those before it. Nothing is asserted about time: it is measured and reported.
 */
import { isBrambleError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/simulator/seeded-random.ts';
import { isSenderFault, type ParserTarget } from './parser-targets.ts';

export interface FuzzReport {
  readonly name: string;
  readonly inputs: number;
  /** Inputs that the parser took, damaged as they are. */
  readonly taken: number;
  readonly codes: ReadonlyMap<string, number>;
  readonly largestBytes: number;
  /** CPU for the costliest input: the least of four runs, since a run may pay for the garbage of those before. */
  readonly worst: { readonly ms: number; readonly bytes: number; readonly index: number };
}

/** Some are as large as can be, so that costs are seen at their worst; not more than tell something. */
function isGrown(index: number): boolean {
  return index % 250 === 249 && index < 250 * 400;
}

/** @throws Error that says how to make the input again, when a parser did anything but take or properly refuse it. */
export async function fuzz(
  target: ParserTarget,
  options: { readonly seed: string; readonly inputs: number; readonly documented: ReadonlySet<string> },
): Promise<FuzzReport> {
  const { seed, inputs, documented } = options;
  const codes = new Map<string, number>();
  let taken = 0;
  let largestBytes = 0;
  let worst = { ms: 0, bytes: 0, index: 0 };

  const outcomeOf = async (input: Buffer): Promise<string> => {
    try {
      const pending = target.parse(input);
      if (pending !== undefined) await pending;
      return '';
    } catch (error) {
      if (!isBrambleError(error)) throw error;
      if (!documented.has(error.code)) throw new Error(`${error.code} is not documented`, { cause: error });
      if (target.fromDevice && !isSenderFault(error))
        throw new Error(`${error.code} is no refusal of an input`, { cause: error });
      return error.code;
    }
  };
  const costOf = async (input: Buffer): Promise<number> => {
    const before = process.cpuUsage();
    await outcomeOf(input);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };

  for (let index = 0; index < inputs; index += 1) {
    const input = target.generate(seededRandom(`${seed}/${target.name}/${index}`), isGrown(index));
    if (input.length > largestBytes) largestBytes = input.length;
    try {
      const before = process.cpuUsage();
      const code = await outcomeOf(input);
      const { user, system } = process.cpuUsage(before);
      if (code === '') taken += 1;
      else codes.set(code, (codes.get(code) ?? 0) + 1);
      let ms = (user + system) / 1000;
      for (let again = 0; again < 3 && ms > worst.ms; again += 1) ms = Math.min(ms, await costOf(input));
      if (ms > worst.ms) worst = { ms, bytes: input.length, index };
    } catch (error) {
      const shown = input.length > 4096 ? `${input.length} bytes` : input.toString('base64');
      throw new Error(`${target.name}, input ${index} of seed ${seed} (${shown})`, { cause: error });
    }
  }
  return { name: target.name, inputs, taken, codes, largestBytes, worst };
}

/** One line for a target. */
export function reportLine({ name, inputs, taken, worst, largestBytes }: FuzzReport): string {
  const share = ((100 * taken) / Math.max(1, inputs)).toFixed(1);
  const cost = `${worst.ms.toFixed(2)} ms for ${worst.bytes} bytes (input ${worst.index})`;
  return `${name.padEnd(28)} ${String(inputs).padStart(9)} inputs, ${share.padStart(5)} % taken, largest ${String(largestBytes).padStart(7)} bytes, worst CPU ${cost}`;
}
