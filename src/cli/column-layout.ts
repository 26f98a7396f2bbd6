/**
 * Texts and columns within the width of a terminal. Pure. Long texts continue below themselves; columns that do not fit
 * beside the others continue on a further line of each row.
 *
 * Invariant: lines break at blanks only, so that ids and names can be copied whole; running text does not break within a
 * command either.
 */
import stringWidth from 'string-width';

/** Of text in a column: no column is narrowed below it. */
const readableWidth = 24;
const gap = '  ';
const continuation = '    ';

/** The lines of each row, the first of which has the titles. Without a limit it is one line each. */
export function layOut(rows: readonly (readonly string[])[], lineWidth: number): string[][] {
  const [titles = []] = rows;
  const columns = titles.map((_title, index) => measured(rows.map((row) => row[index] ?? '')));
  const groups = grouped(columns, lineWidth).map((group, index) => {
    const indent = index === 0 ? '' : continuation;
    return {
      indent,
      group,
      widths: fitted(
        group.map((at) => columns[at] ?? nothing),
        lineWidth - indent.length,
      ),
    };
  });
  return rows.map((row) =>
    groups.flatMap(({ indent, group, widths }) => {
      const cells = group.map((at, place) => wrapped(row[at] ?? '', widths[place] ?? 0));
      const height = Math.max(...cells.map((lines) => lines.length));
      return Array.from({ length: height }, (_, line) => {
        const parts = cells.map((lines, place) => padded(lines[line] ?? '', widths[place] ?? 0));
        return (indent + parts.join(gap)).trimEnd();
      });
    }),
  );
}

/** The text in lines that are no wider, unless a single word is. */
export function wrapped(text: string, width: number): string[] {
  if (stringWidth(text) <= width) return [text];
  const { before, inner, after } = coloured(text);
  if (inner.includes('\u001b')) return [text];
  return linesOf(inner.split(' '), width).map((part) => before + part + after);
}

/**
 * Running text whose lines are no wider, unless a single word or a command in backticks is. What is to be copied stays on
 * its line: commands after an arrow, and indented lines behind one that ends with a colon.
 */
export function wrappedText(text: string, width: number): string {
  let announced = false;
  return text
    .split('\n')
    .map((line) => {
      const isCopied = (announced && line.startsWith(' ')) || /^ *→/u.test(line);
      announced = line.endsWith(':') || (announced && line.startsWith(' '));
      if (isCopied || stringWidth(line) <= width) return line;
      const [, indent = '', numbering = ''] = /^( *)(\d+\. )?/.exec(line) ?? [];
      const below = indent + (indent === '' ? ' '.repeat(numbering.length) : '  ');
      return linesOf(wordsOf(line.slice(indent.length)), width - below.length)
        .map((part, at) => ((at === 0 ? indent : below) + part).trimEnd())
        .join('\n');
    })
    .join('\n');
}

/** A command in backticks is one, unless a backtick is missing. */
function wordsOf(text: string): string[] {
  const isOpen = (part: string) => part.split('`').length % 2 === 0;
  const words: string[] = [];
  for (const word of text.split(' ')) {
    const last = words.at(-1);
    if (last !== undefined && isOpen(last) && !isOpen(text)) words[words.length - 1] = `${last} ${word}`;
    else words.push(word);
  }
  return words;
}

function linesOf(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of words) {
    const longer: string = line === undefined ? word : `${line} ${word}`;
    if (line === undefined || stringWidth(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line ?? ''];
}

interface Measured {
  /** Of its widest cell. */
  readonly width: number;
  /** To which it can be narrowed. */
  readonly minWidth: number;
}

const nothing: Measured = { width: 0, minWidth: 0 };

function measured([title = '', ...cells]: readonly string[]): Measured {
  const measures = { width: stringWidth(title), minWidth: widestWord(title) };
  for (const cell of cells) {
    const width = stringWidth(cell);
    measures.width = Math.max(measures.width, width);
    measures.minWidth = Math.max(measures.minWidth, widestWord(cell), Math.min(width, readableWidth));
  }
  return measures;
}

function widestWord(text: string): number {
  return Math.max(...wrapped(text, 0).map((word) => stringWidth(word)));
}

/** Which columns are side by side: as many as fit when narrowed. */
function grouped(columns: readonly Measured[], lineWidth: number): number[][] {
  const groups: number[][] = [];
  let left = 0;
  columns.forEach(({ minWidth }, index) => {
    const group = groups.at(-1);
    left -= gap.length + minWidth;
    if (group !== undefined && left >= 0) {
      group.push(index);
      return;
    }
    left = lineWidth - minWidth - (groups.length === 0 ? 0 : continuation.length);
    groups.push([index]);
  });
  return groups;
}

/** Narrows the widest ones until all fit. */
function fitted(columns: readonly Measured[], lineWidth: number): number[] {
  const widths = columns.map(({ width }) => width);
  let excess = widths.reduce((sum, width) => sum + width, (widths.length - 1) * gap.length) - lineWidth;
  for (; excess > 0; excess--) {
    const spare = widths.map((width, index) => (width > (columns[index]?.minWidth ?? 0) ? width : 0));
    const widest = Math.max(...spare);
    if (widest === 0) break;
    widths[spare.indexOf(widest)] = widest - 1;
  }
  return widths;
}

function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - stringWidth(text)));
}

/** Colours around a text are repeated on each of its lines. */
function coloured(text: string): { before: string; inner: string; after: string } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with
  const [, before = '', inner = '', after = ''] = /^((?:\u001b\[\d+m)*)(.*?)((?:\u001b\[\d+m)*)$/su.exec(text) ?? [];
  return { before, inner, after };
}
