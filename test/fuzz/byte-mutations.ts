/** Damage that needs no knowledge of what is damaged. */
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';

/** A generator of inputs: the same dice give the same input. A grown one is as large as its address takes. */
export type Generate = (random: SeededRandom, grown: boolean) => Buffer;

const telling = [
  0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x26, 0x30, 0x3c, 0x5c, 0x7f, 0x80, 0x81, 0x84, 0xc0, 0xed, 0xff,
];

/** Flips, replaces, inserts, removes, repeats or cuts off, once or a few times. */
export function mutateBytes(random: SeededRandom, source: Uint8Array): Buffer {
  let bytes = Buffer.from(source);
  for (let round = random.integer(3); round >= 0; round -= 1) {
    const at = random.integer(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + random.integer(8));
    switch (random.integer(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(8));
        break;
      case 1:
        if (at < bytes.length) bytes[at] = random.pick(telling);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), Uint8Array.of(random.pick(telling)), bytes.subarray(at)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at, to), bytes.subarray(to)]);
        break;
      default:
        if (random.chance(0.3)) bytes = Buffer.from(bytes.subarray(0, at));
    }
  }
  return bytes;
}

/** `unit` as often as it fits into `sizeBytes`. */
export function filled(unit: Uint8Array | string, sizeBytes: number): Buffer {
  const one = Buffer.from(unit as Uint8Array);
  const count = one.length === 0 ? 0 : Math.max(0, Math.floor(sizeBytes / one.length));
  return Buffer.alloc(count * one.length, one);
}
