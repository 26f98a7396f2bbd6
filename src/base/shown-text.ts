/**
 * Untrusted text shown to people: a device's model, a typed name, the reason in an answer. A terminal obeys escape
 * sequences, a line break can forge a row, and a change of writing direction can make one text look like another.
 *
 * Invariant: every character of the output is displayed as itself. Such characters are refused on input, and escaped
 * wherever text is shown.
 */

/** Joiners are part of the spelling in scripts that join letters, and combine emoji: they are allowed there. */
const joiner =
  '(?<=[\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Mongolian}\\p{Script=Nko}\\p{Mn}\\p{Mc}\\p{Extended_Pictographic}])' +
  '[\\u200c\\u200d](?=[\\p{L}\\p{M}\\p{Extended_Pictographic}])';
/**
 * Control characters (C0, C1), line and paragraph separators, everything invisible (writing directions, zero widths,
 * fillers, tags), lone surrogates and private-use characters. Variation selectors are allowed: emoji need them.
 */
const unseen = new RegExp(
  `(?!${joiner})(?![\\ufe0e\\ufe0f])` +
    '[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\ufffe\\uffff]',
  'gu',
);
/** More combining marks on one letter than any script uses: they would cover the lines above and below. */
const maxMarks = 6;
const flood = new RegExp(`(\\p{M}{${maxMarks}})(\\p{M}+)`, 'gu');

/** The colours that `bramble` uses; no other sequence that begins with ESC is written. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with
const colour = /(\u001b\[\d+m)/u;
const colourOrLine = new RegExp(`${colour.source.slice(0, -1)}|\\n)`, 'u');

/** The first character that a person should not type, such as `U+202E`; undefined when there is none. */
export function unseenCharacter(text: string, options: { lines?: boolean } = {}): string | undefined {
  const checked = options.lines === true ? text.replaceAll('\n', ' ') : text;
  const [found] = checked.match(unseen) ?? [];
  if (found !== undefined) return codePointOf(found);
  const [flooding] = checked.match(flood) ?? [];
  return flooding === undefined ? undefined : codePointOf(flooding);
}

/** One line: a character not displayed as itself becomes `\u{202e}`, a flood of marks its count. */
export function shownText(text: string): string {
  return text
    .replace(unseen, (character) => `\\u{${character.codePointAt(0)?.toString(16) ?? ''}}`)
    .replace(flood, (_all, marks: string, excess: string) => `${marks}[+${[...excess].length} marks]`);
}

/** Escapes all strings of an external value, member names included; other values are unchanged. */
export function shownValue<Value>(value: Value): Value {
  if (typeof value === 'string') return shownText(value) as Value;
  if (Array.isArray(value)) return value.map(shownValue) as Value;
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [shownText(key), shownValue(member)]),
  ) as Value;
}

/** A text with our own colours, as written to a terminal: in several lines, or kept to one. */
export function shownLines(text: string): string {
  return escapedBetween(text, colourOrLine);
}

export function shownLine(text: string): string {
  return escapedBetween(text, colour);
}

/** `kept` is one group: after splitting, the kept parts are at odd indexes. */
function escapedBetween(text: string, kept: RegExp): string {
  return text
    .split(kept)
    .map((part, index) => (index % 2 === 1 ? part : shownText(part)))
    .join('');
}

/** JSON that is safe on a terminal too; parsing it yields the original value. */
export function shownJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replace(unseen, (character) =>
    character === '\n' ? character : character.split('').map(unitOf).join(''),
  );
}

function unitOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function codePointOf(text: string): string {
  return `U+${(text.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
