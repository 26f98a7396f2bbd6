/** A validation message, phrased to follow the field's name in a sentence: `must be at least 1`. */
const words: readonly (readonly [RegExp, (...parts: string[]) => string])[] = [
  [/^Invalid input: expected (.+), received undefined$/, () => 'is missing'],
  [/^Invalid input: expected (.+), received (.+)$/, (wanted, given) => `must be ${article(wanted)}, not ${given}`],
  [/^Invalid discriminator value\. Expected (.+)$/, (choices) => `must be one of ${choices?.replaceAll(' | ', ', ')}`],
  [/^Invalid option: expected one of (.+)$/, (choices) => `must be one of ${choices?.replaceAll('|', ', ')}`],
  [/^Too small: expected (?:number|int) to be >([^=].*)$/, (bound) => `must be greater than ${bound}`],
  [/^Too big: expected (?:number|int) to be <([^=].*)$/, (bound) => `must be less than ${bound}`],
  [/^Too small: expected (?:number|int) to be >=?(.+)$/, (least) => `must be at least ${least}`],
  [/^Too big: expected (?:number|int) to be <=?(.+)$/, (most) => `must be at most ${most}`],
  [/^Too small: expected (?:string|array) to have >=?1 .+$/, () => 'must not be empty'],
  [/^Unrecognized keys?: (.+)$/, (keys) => `has unknown members: ${keys}`],
  [
    /^Too small: expected (?:string|array) to have >=?(\d+) (.+)$/,
    (least, what) => `must have at least ${least} ${what}`,
  ],
  [/^Too big: expected (?:string|array) to have <=?(\d+) (.+)$/, (most, what) => `must have at most ${most} ${what}`],
  [/^Invalid (UUID|URL)$/, (what) => `is not a valid ${what}`],
];

/** @param the message of zod's first issue */
export function plainIssue(message: string): string {
  for (const [pattern, say] of words) {
    const match = pattern.exec(message);
    if (match) return say(...match.slice(1));
  }
  return `is invalid: ${message}`;
}

const nouns: Readonly<Record<string, string>> = { int: 'integer', record: 'object' };

function article(what: string | undefined): string {
  const noun = nouns[what ?? ''] ?? what ?? '';
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
