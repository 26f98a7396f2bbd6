/** Binary property lists out of recipes: levels of arrays or dictionaries that refer to the next one again and again. */

import type { Eating } from './recipes.ts';
import type { Kitchen } from './search.ts';

/** Objects that fill the list, as bytes; further ones are told apart by their number. */
const words: readonly ((count: number) => Buffer)[] = [
  () => Buffer.from([0x09]),
  () => Buffer.from([0x50]),
  (count) => Buffer.concat([Buffer.from([0x5f, 0x11, 0, 8]), Buffer.from(count.toString(36).padStart(8, 'k'))]),
  () => Buffer.from([0x40]),
  () => Buffer.from([0x10, 1]),
  () => Buffer.from([0x14, ...Array<number>(16).fill(0x11)]),
  () => Buffer.from([0x33, 0x41, 0, 0, 0, 0, 0, 0, 0]),
  () => Buffer.from([0x23, 0x7f, 0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  () => Buffer.from([0xa0]),
  () => Buffer.from([0xd0]),
  () => Buffer.from([0x61, 0xd8, 0x00]),
  () => Buffer.concat([Buffer.from([0x6f, 0x11, 0x10, 0]), Buffer.alloc(8192, 0x30)]),
  () => Buffer.concat([Buffer.from([0x5f, 0x11, 0x10, 0]), Buffer.alloc(4096, 0x78)]),
  () => Buffer.from([0x80, 1]),
  () => Buffer.from([0xaf]),
];

/** Unit: kinds of leaves. Wraps: arrays or dictionaries. Frame: how many times each level refers to the next one, and its shape. */
export function binaryKitchen(eating: Eating): Kitchen {
  const referred = [1, 2, 16, 1000];
  return {
    ...eating,
    words: words.length,
    wraps: 2,
    frames: referred.length * 2,
    cook: (recipe, sizeBytes) => {
      const many = recipe.frame >= referred.length;
      const width = referred[recipe.frame % referred.length] ?? 1;
      const objects: Buffer[] = [];
      const levels = Math.min(recipe.levels, 64);
      const leafAt = levels + 1;
      for (let level = 0; level < levels; level++) {
        objects.push(container(recipe.wraps[level % 2] === 1, Array<number>(width).fill(level + 1), leafAt));
      }
      // The last level refers to all leaves, or to one of them as often as there is room.
      const leaves: Buffer[] = [];
      let room = Math.max(16, sizeBytes - objects.reduce((sum, object) => sum + object.length + 4, 0) - 64);
      if (many) room -= 8;
      for (let count = 0; room > 0 && leaves.length < 200_000; count++) {
        const leaf = words[recipe.unit[count % recipe.unit.length] ?? 0]?.(count) ?? Buffer.alloc(1);
        room -= leaf.length + 8;
        if (room <= 0) break;
        leaves.push(leaf);
        if (!many && leaves.length >= recipe.unit.length) break;
      }
      const count = many ? leaves.length : Math.max(1, Math.floor(room / 4));
      const refs = Array.from(
        { length: count },
        (_, index) => leafAt + (many ? index : index % Math.max(1, leaves.length)),
      );
      objects.push(container(recipe.wraps[0] === 1, refs, leafAt), ...leaves);
      return written(objects);
    },
  };
}

/** References of four bytes. */
function container(dictionary: boolean, refs: readonly number[], keyAt: number): Buffer {
  const values = dictionary ? refs.slice(0, refs.length >> 1) : refs;
  const body = Buffer.alloc((dictionary ? values.length * 2 : values.length) * 4);
  values.forEach((_, index) => {
    if (dictionary) body.writeUInt32BE(refs[index + values.length] ?? keyAt, index * 4);
  });
  const start = dictionary ? values.length : 0;
  values.forEach((ref, index) => {
    body.writeUInt32BE(ref, (start + index) * 4);
  });
  const head = Buffer.from([dictionary ? 0xdf : 0xaf, 0x12, 0, 0, 0, 0]);
  head.writeUInt32BE(values.length, 2);
  return Buffer.concat([head, body]);
}

function written(objects: readonly Buffer[]): Buffer {
  const table = Buffer.alloc(objects.length * 4);
  let at = 8;
  objects.forEach((object, index) => {
    table.writeUInt32BE(at, index * 4);
    at += object.length;
  });
  const trailer = Buffer.alloc(32);
  trailer.writeUInt8(4, 6);
  trailer.writeUInt8(4, 7);
  trailer.writeBigUInt64BE(BigInt(objects.length), 8);
  trailer.writeBigUInt64BE(BigInt(at), 24);
  return Buffer.concat([Buffer.from('bplist00'), ...objects, table, trailer]);
}
