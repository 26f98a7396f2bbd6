/**
 * The simulator's dice. Everything that a fleet *is* and every choice it makes comes from one printed seed; only timing
 * does not. A fork is named, so that adding a draw to one device changes nothing for another.
 */
import { createHash } from 'node:crypto';

export interface SeededRandom {
  /** The next number in [0, 1). */
  next(): number;
  /** A whole number in [0, limit). */
  integer(limit: number): number;
  /** True with the given probability (0 to 1). */
  chance(probability: number): boolean;
  bytes(sizeBytes: number): Buffer;
  /** A version 4 UUID, lower case. */
  uuid(): string;
  /** @throws RangeError when there is nothing to pick from. */
  pick<Item>(items: readonly Item[]): Item;
  /** `mean` spread evenly over ±`share` of itself. */
  around(mean: number, share?: number): number;
  /** An independent stream that depends only on the seed and the names on the way to it. */
  fork(name: string): SeededRandom;
}

/** The sfc32 generator over a digest of the seed: the same seed gives the same stream on every machine. */
export function seededRandom(seed: string): SeededRandom {
  const digest = createHash('sha256').update(seed).digest();
  let a = digest.readUInt32LE(0) | 0;
  let b = digest.readUInt32LE(4) | 0;
  let c = digest.readUInt32LE(8) | 0;
  let counter = digest.readUInt32LE(12) | 0;

  const word = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  const next = (): number => word() / 0x1_0000_0000;
  const integer = (limit: number): number => Math.floor(next() * limit);
  const bytes = (sizeBytes: number): Buffer => {
    const filled = Buffer.alloc(sizeBytes);
    for (let at = 0; at < sizeBytes; at += 1) filled[at] = word() & 0xff;
    return filled;
  };

  return {
    next,
    integer,
    chance: (probability) => next() < probability,
    bytes,
    uuid: () => {
      const raw = bytes(16);
      raw.writeUInt8((raw.readUInt8(6) & 0x0f) | 0x40, 6);
      raw.writeUInt8((raw.readUInt8(8) & 0x3f) | 0x80, 8);
      return raw.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    },
    pick: <Item>(items: readonly Item[]): Item => {
      const item = items[integer(items.length)];
      if (item === undefined) throw new RangeError('there is nothing to pick from');
      return item;
    },
    around: (mean, share = 0.5) => mean * (1 - share + 2 * share * next()),
    fork: (name) => seededRandom(`${seed}/${name}`),
  };
}
