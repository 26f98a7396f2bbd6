/** How recipes become bytes: a filling of repeated words in levels of wraps, set into a frame. */
import type { Kitchen, Recipe } from './search.ts';

/** A word may have its number in it, so that no two are alike (keys, names). */
export type Word = string | Uint8Array | ((count: number) => string | Uint8Array);
export type Around = (inside: Buffer) => Buffer;

/** A level around what is inside of it, whose length may stand in its beginning. */
export interface Wrap {
  open(insideBytes: number): Uint8Array;
  close: Uint8Array;
}

export interface Ingredients {
  words: readonly Word[];
  wraps: readonly Wrap[];
  /** What makes of it a message that is read further than its first bytes. */
  frames: readonly Around[];
}

export interface Eating {
  name: string;
  from: Kitchen['from'];
  limitBytes: number;
  maxLevels: number;
  eat: Kitchen['eat'];
}

/** Never more than the size: what does not fit is left out of the filling. */
export function kitchenOf({ words, wraps, frames }: Ingredients, eating: Eating): Kitchen {
  const around = (recipe: Recipe, sizeBytes: number, inside: Buffer): Buffer => {
    const message = levelled(recipe, wraps, sizeBytes, inside);
    return frames[recipe.frame]?.(message) ?? message;
  };
  return {
    ...eating,
    words: words.length,
    wraps: wraps.length,
    frames: frames.length,
    cook: (recipe, sizeBytes) => {
      const bare = around(recipe, sizeBytes, Buffer.alloc(0));
      const room = Math.max(0, Math.floor(sizeBytes) - bare.length - 64);
      return around(recipe, sizeBytes, filling(recipe, words, room));
    },
  };
}

/** As many levels as there is room for, put together once. */
function levelled(
  { wraps: chosen, levels }: Recipe,
  wraps: readonly Wrap[],
  sizeBytes: number,
  inside: Buffer,
): Buffer {
  if (chosen.length === 0) return inside;
  const [opened, closed]: [Uint8Array[], Uint8Array[]] = [[], []];
  let length = inside.length;
  for (let level = levels; level > 0; level--) {
    const wrap = wraps[chosen[level % chosen.length] ?? 0];
    if (wrap === undefined) break;
    const open = wrap.open(length);
    if (length + open.length + wrap.close.length > sizeBytes) break;
    opened.push(open);
    closed.push(wrap.close);
    length += open.length + wrap.close.length;
  }
  return Buffer.concat([...opened.reverse(), inside, ...closed]);
}

function filling(recipe: Recipe, words: readonly Word[], roomBytes: number): Buffer {
  const unit = recipe.unit.map((number) => words[number] ?? '');
  const varies = unit.some((word) => typeof word === 'function');
  const piece = (count: number) =>
    Buffer.concat(unit.map((word) => Buffer.from((typeof word === 'function' ? word(count) : word) as Uint8Array)));
  const first = piece(0);
  if (first.length === 0 || roomBytes < first.length) return Buffer.alloc(0);
  if (!varies) return Buffer.alloc(Math.floor(roomBytes / first.length) * first.length, first);
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for (let count = 0; ; count++) {
    const next = piece(count);
    if (sizeBytes + next.length > roomBytes) return Buffer.concat(pieces);
    pieces.push(next);
    sizeBytes += next.length;
  }
}

export function text(before: string, after = ''): Around {
  return (inside) => Buffer.concat([Buffer.from(before), inside, Buffer.from(after)]);
}

export function textWrap(before: string, after = ''): Wrap {
  const open = Buffer.from(before);
  return { open: () => open, close: Buffer.from(after) };
}

export const asItIs: Around = (inside) => inside;
