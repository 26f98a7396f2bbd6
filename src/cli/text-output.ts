/**
 * Human-readable output of the command line: aligned tables, progress bars. Colours only if wanted, and lines
 * broken only to fit a terminal. Widths are terminal columns: two for wide characters, none for combining marks and colours.
 */
import picocolors from 'picocolors';
import stringWidth from 'string-width';
import { shownLine } from '../base/shown-text.ts';
import { timesInText } from '../base/time-text.ts';
import { layOut, wrapped, wrappedText } from './column-layout.ts';

const gap = '  ';
/** On a terminal that is too narrow for it, lines get longer than the terminal. */
const minValueWidth = 20;

export interface Style extends ReturnType<typeof picocolors.createColors> {
  /** Of the terminal; infinite for anything else, such as a file or a pipe. */
  readonly lineWidth: number;
}

/** Colours on a terminal that supports them; elsewhere its functions return the text unchanged. */
export function styleFor(
  stream: { isTTY?: boolean | undefined; columns?: number },
  environment: Readonly<Record<string, unknown>>,
): Style {
  const isTerminal = stream.isTTY === true;
  return {
    ...picocolors.createColors(isTerminal && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb'),
    get lineWidth() {
      return (isTerminal && stream.columns) || Number.POSITIVE_INFINITY;
    },
  };
}

/**
 * Columns as wide as their widest cell, separated by two blanks, one line per row unless the terminal is narrower; an
 * empty list says so.
 */
export function table(style: Style, header: readonly string[], given: readonly (readonly string[])[]): string {
  if (given.length === 0) return style.dim('none');
  const titles = header.map((title) => title.toUpperCase());
  const [head = [], ...rows] = layOut([titles, ...given.map((row) => row.map(shownLine))], style.lineWidth);
  return [...head.map((line) => style.bold(line)), ...rows.flat()].join('\n');
}

/** The same for rows that are not texts yet: each column has a title and a function of the row. */
export function columns<Row>(
  style: Style,
  rows: readonly Row[],
  of: Readonly<Record<string, (row: Row) => string>>,
): string {
  const texts = Object.values(of);
  return table(
    style,
    Object.keys(of),
    rows.map((row) => texts.map((text) => text(row))),
  );
}

/** Shown below a page that is followed by another. */
export function moreText(style: Style, option: string, next: string | null): string {
  return next === null ? '' : `\n${style.dim(`There are more: ${option} ${next}`)}`;
}

/** Labels and values, one pair per line; on a narrow terminal a value continues below itself. */
export function facts(style: Style, entries: readonly (readonly [string, string])[]): string {
  const labels = Math.max(...entries.map(([label]) => stringWidth(label))) + gap.length;
  const width = Math.max(minValueWidth, style.lineWidth - labels);
  return entries
    .map(([label, value]) => {
      const head = style.dim(label + ' '.repeat(labels - gap.length - stringWidth(label)));
      return head + gap + wrapped(shownLine(value), width).join(`\n${' '.repeat(labels)}`);
    })
    .join('\n');
}

/** Running text, with colours, within the width of a terminal. */
export function paragraphs(style: Pick<Style, 'lineWidth'>, text: string): string {
  return wrappedText(text, style.lineWidth);
}

/** `[#######-------] 12/24  50 %` */
export function progressBar(style: Style, done: number, total: number, width = 30): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * width);
  const bar = `[${style.green('#'.repeat(filled))}${'-'.repeat(width - filled)}]`;
  return `${bar} ${done}/${total}  ${Math.floor(share * 100)} %`;
}

/** A cell: a dash for nothing, lists separated by commas, times within a text as elsewhere. */
export function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.join(', ');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : timesInText(String(value));
}
