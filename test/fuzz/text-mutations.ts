/** Damage to text that is made of tokens: markup, forms, JSON, headers. */
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';
import { filled, mutateBytes } from './byte-mutations.ts';

export interface TextSeed {
  readonly tokens: readonly string[];
  /** What is put in the place of a token, or between two. */
  readonly words: readonly string[];
}

export function textSeed(text: string, pattern: RegExp, words: readonly string[]): TextSeed {
  return { tokens: text.match(pattern) ?? [], words };
}

/** One to three tokens dropped, doubled, moved, replaced or added; now and then damage to the bytes. */
export function mutateText(random: SeededRandom, seed: TextSeed): Buffer {
  const tokens = [...seed.tokens];
  for (let round = random.integer(3); round >= 0; round -= 1) {
    const at = random.integer(tokens.length + 1);
    const word = random.chance(0.3) ? random.pick(seed.tokens) : random.pick(seed.words);
    switch (random.integer(5)) {
      case 0:
        tokens.splice(at, 1);
        break;
      case 1:
        tokens.splice(at, 0, word);
        break;
      case 2:
        tokens.splice(at, 1, word);
        break;
      case 3:
        tokens.splice(at, 0, ...tokens.slice(at, at + 1 + random.integer(6)));
        break;
      default:
        tokens.splice(at, 0, ...tokens.splice(random.integer(tokens.length + 1), 2));
    }
  }
  const bytes = Buffer.from(tokens.join(''));
  return random.chance(0.15) ? mutateBytes(random, bytes) : bytes;
}

/** One word or token repeated at one place until the text has `sizeBytes`. */
export function growText(random: SeededRandom, seed: TextSeed, sizeBytes: number): Buffer {
  const at = random.integer(seed.tokens.length + 1);
  const [before, after] = [seed.tokens.slice(0, at).join(''), seed.tokens.slice(at).join('')].map((text) =>
    Buffer.from(text),
  );
  const unit = random.chance(0.3) ? random.pick(seed.tokens) : random.pick(seed.words);
  const room = sizeBytes - (before?.length ?? 0) - (after?.length ?? 0);
  return Buffer.concat([before ?? Buffer.alloc(0), filled(unit, room), after ?? Buffer.alloc(0)]);
}

/** Words that any reader of text may stumble over. */
export const trickyWords: readonly string[] = [
  '',
  ' ',
  '\n',
  '\r',
  '\0',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\ud83d\ude00',
  'é',
  'e\u0301',
  '-1',
  '0',
  '1e999',
  '18446744073709551616',
  'NaN',
  '__proto__',
  'constructor',
  'x'.repeat(300),
];
