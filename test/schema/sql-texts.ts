/**
 * The texts of SQL in a source file: templates with a tag, and other texts that begin as a statement does, or a condition. A template within
 * another one, as a part of it, stands in the outer text; of any other value there only a mark is left.
 */

/** In place of a value that is no template: a parameter, or the result of a call. */
export const hole = '§';

export function sqlTextsOf(source: string): string[] {
  const texts: string[] = [];
  readCode(source, 0, texts, false);
  return texts.filter((text) => text !== '');
}

/** Reads code up to its end, or to the brace that closes a value in a template; returns the position behind it. */
function readCode(source: string, start: number, texts: string[], inTemplate: boolean): number {
  let depth = 0;
  let at = start;
  while (at < source.length) {
    const two = source.slice(at, at + 2);
    const one = source.charAt(at);
    if (two === '//') at = endOf(source, '\n', at);
    else if (two === '/*') at = endOf(source, '*/', at + 2);
    else if (one === "'" || one === '"') {
      const end = endOfQuoted(source, at);
      const text = source.slice(at + 1, end - 1);
      if (beginsStatement.test(text)) texts.push(text);
      at = end;
    } else if (one === '`') at = readTemplate(source, at, texts);
    else if (one === '/' && beginsPattern(source, at)) at = endOfPattern(source, at);
    else if (one === '}' && inTemplate && depth === 0) return at + 1;
    else {
      if (one === '{') depth += 1;
      if (one === '}') depth -= 1;
      at += 1;
    }
  }
  return at;
}

function readTemplate(source: string, start: number, texts: string[]): number {
  const isTagged = /[\w)>]/.test(source.charAt(start - 1)) && source.slice(start - 4, start) !== '.raw';
  let text = '';
  let at = start + 1;
  while (at < source.length && source.charAt(at) !== '`') {
    if (source.startsWith('${', at)) {
      const parts: string[] = [];
      at = readCode(source, at + 2, parts, true);
      text += partOf(parts);
    } else if (source.charAt(at) === '\\') {
      text += source.charAt(at + 1);
      at += 2;
    } else {
      text += source.charAt(at);
      at += 1;
    }
  }
  if (isTagged || beginsStatement.test(text)) texts.push(text);
  return at + 1;
}

/** Whole queries get parentheses, conditions stay as they are. */
function partOf(parts: readonly string[]): string {
  if (parts.length === 0) return hole;
  return parts.map((part) => (/^\s*(select|with)\b/.test(part) ? `${hole} (${part})` : ` ${part} `)).join(' ');
}

/** As a statement does, or a condition on a column. */
const beginsStatement =
  /^\s*\(?(?:(?:with|update) \w+ |select |insert into |delete from |lock table |case when |(?:and|or|where) \(?(?:not )?\w+\.\w+ )/;

function endOf(source: string, mark: string, from: number): number {
  const end = source.indexOf(mark, from);
  return end < 0 ? source.length : end + mark.length;
}

function endOfQuoted(source: string, start: number): number {
  const quote = source.charAt(start);
  let at = start + 1;
  while (at < source.length && source.charAt(at) !== quote) at += source.charAt(at) === '\\' ? 2 : 1;
  return at + 1;
}

/** A slash behind a value divides; elsewhere it begins a regular expression. */
function beginsPattern(source: string, at: number): boolean {
  return /(?:[(,=:[!&|?{};>]|\breturn|^)\s*$/.test(source.slice(Math.max(0, at - 20), at));
}

function endOfPattern(source: string, start: number): number {
  let inClass = false;
  let at = start + 1;
  for (; at < source.length; at += 1) {
    const one = source.charAt(at);
    if (one === '\\') at += 1;
    else if (one === '[') inClass = true;
    else if (one === ']') inClass = false;
    else if (one === '/' && !inClass) break;
  }
  return at + 1;
}
