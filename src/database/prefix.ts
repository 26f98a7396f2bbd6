/**
 * Search by the beginnings of texts, along an index whose first column is the text in a form of its own (`collate "C"`, ASCII letters
 * small) and whose second is an id.
 *
 * Invariant: what is searched for is no pattern: `%` is found where a text begins with it. And one field gives a row under one
 * beginning only.
 */
import type { Queryable, SqlFragment } from './connection.ts';

/** Behind every text that begins with what stands before it: no character is encoded in greater bytes. */
const last = '\u{10ffff}';

export function beginsWith(q: Queryable, key: SqlFragment, prefix: string): SqlFragment {
  return q`(${key} >= ${prefix} and ${key} < ${prefix + last})`;
}

/** With any of them. */
export function beginsWithAny(q: Queryable, key: SqlFragment, prefixes: readonly string[]): SqlFragment {
  return prefixes.map((prefix) => beginsWith(q, key, prefix)).reduce((any, one) => q`${any} or ${one}`);
}

/**
 * What the texts begin with in that form, if somebody types `text`: other letters than ASCII's stand there as they were typed, small or
 * capital, so that there may be several.
 */
export function prefixesOf(text: string): readonly string[] {
  const typed = text.normalize('NFC').trim();
  const small = typed.toLowerCase();
  const [first = ''] = small;
  const forms = [small, first.toUpperCase() + small.slice(first.length), typed, small.toUpperCase()];
  return [...new Set(forms.map((form) => form.replace(/[A-Z]/g, (letter) => letter.toLowerCase())))];
}
