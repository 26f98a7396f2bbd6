/**
 * Human-readable output of the command line: aligned tables, times, progress bars. Pure; colours only if wanted. Widths
 * are terminal columns: two for wide characters, none for combining marks and colours.
 */
import picocolors from 'picocolors';
import stringWidth from 'string-width';
import { shownLine } from '../base/shown-text.ts';

export type Style = ReturnType<typeof picocolors.createColors>;

/** Colours on a terminal that supports them; elsewhere its functions return the text unchanged. */
export function styleFor(
  stream: { isTTY?: boolean | undefined },
  environment: Readonly<Record<string, unknown>>,
): Style {
  return picocolors.createColors(stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb');
}

/** Columns as wide as their widest cell, separated by two blanks, one line per row; an empty list says so. */
export function table(style: Style, header: readonly string[], given: readonly (readonly string[])[]): string {
  if (given.length === 0) return style.dim('none');
  const rows = given.map((row) => row.map(shownLine));
  const widths = header.map((title, index) =>
    Math.max(stringWidth(title), ...rows.map((row) => stringWidth(row[index] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => cell + ' '.repeat(Math.max(0, (widths[index] ?? 0) - stringWidth(cell))))
      .join('  ')
      .trimEnd();
  return [style.bold(line(header.map((title) => title.toUpperCase()))), ...rows.map(line)].join('\n');
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

/** Labels and values, one pair per line. */
export function facts(style: Style, entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([label]) => stringWidth(label)));
  const padded = (label: string) => label + ' '.repeat(width - stringWidth(label));
  return entries.map(([label, value]) => `${style.dim(padded(label))}  ${shownLine(value)}`).join('\n');
}

/** `[#######-------] 12/24  50 %` */
export function progressBar(style: Style, done: number, total: number, width = 30): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * width);
  const bar = `[${style.green('#'.repeat(filled))}${'-'.repeat(width - filled)}]`;
  return `${bar} ${done}/${total}  ${Math.floor(share * 100)} %`;
}

/** A human-readable time, to the second, followed by the machine's time zone; a dash if there is none. */
export function timeText(time: Date | string | null): string {
  if (time === null) return '-';
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${zoneText(date.getTimezoneOffset())}`
  );
}

/** The day in UTC. */
export function dayText(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** @param minutes that UTC is ahead */
function zoneText(minutes: number): string {
  if (minutes === 0) return 'Z';
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${minutes < 0 ? '+' : '-'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
}

/** A cell: a dash for nothing, lists separated by commas. */
export function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.join(', ');
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
