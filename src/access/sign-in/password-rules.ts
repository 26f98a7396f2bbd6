/** What a new password has to be: long and not obvious. There are no rules of composition, and no end of its validity. */
import { BrambleError } from '../../base/errors.ts';
import { isCommonPassword } from './common-passwords.ts';

const passwordLength = { least: 12, most: 200 } as const;
const leastDistinct = 6;

/** @param words names that it must not be made of @throws BrambleError ERR_PASSWORD_RULES */
export function assertGoodPassword(password: string, words: readonly string[]): void {
  const why = reasonAgainst(password, words);
  if (why === null) return;
  throw new BrambleError(
    'ERR_PASSWORD_RULES',
    `${why} Choose ${passwordLength.least} characters or more, such as several words that do not belong together.`,
  );
}

function reasonAgainst(password: string, words: readonly string[]): string | null {
  const characters = [...password.normalize('NFC')];
  if (characters.length < passwordLength.least)
    return `The password has fewer than ${passwordLength.least} characters.`;
  if (characters.length > passwordLength.most) return `The password has more than ${passwordLength.most} characters.`;
  if (new Set(characters).size < leastDistinct) return 'The password repeats a few characters.';
  const plain = password.toLowerCase();
  if (isRun(plain)) return 'The password is a sequence of the alphabet, of digits, or of a keyboard.';
  if (isCommonPassword(plain.replace(/\s/g, ''))) return 'The password is one of those that are tried first.';
  const isMost = (word: string) => plain.length - word.length < passwordLength.least - 4;
  if (words.some((word) => word.length >= 3 && plain.includes(word.toLowerCase()) && isMost(word))) {
    return 'The password is little more than a name.';
  }
  return null;
}

const runs = ['abcdefghijklmnopqrstuvwxyz', '0123456789', '1qaz2wsx3edc4rfv5tgb6yhn', 'qwertyuiopasdfghjklzxcvbnm'];

function isRun(text: string): boolean {
  const backwards = [...text].reverse().join('');
  return runs.some((run) => [text, backwards].some((way) => `${run}${run}`.includes(way)));
}
