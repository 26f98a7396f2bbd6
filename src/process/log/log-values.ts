/**
 * Values on their way into a log line. Many of them are a stranger's: an account name out of a form, a path, a header.
 * Invariant: a line has a few kilobytes at most, and nothing in it that a terminal obeys.
 */
import { shownLines, shownText } from '../../base/shown-text.ts';

const textAtMost = 500;
const stackAtMost = 4000;
const entriesAtMost = 40;
const depthAtMost = 4;

/** The value with every text cut and escaped, and as much of its members as a line can hold. */
export function loggedValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return shownText(cut(value, textAtMost));
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= depthAtMost) return '…';
  if (value instanceof Error) return loggedError(value, depth);
  if (Array.isArray(value)) {
    const shown = value.slice(0, entriesAtMost).map((element) => loggedValue(element, depth + 1));
    return value.length > entriesAtMost ? [...shown, `… (${value.length - entriesAtMost} more)`] : shown;
  }
  const entries = Object.entries(value);
  return Object.fromEntries([
    ...entries
      .slice(0, entriesAtMost)
      .map(([key, member]) => [shownText(cut(key, textAtMost)), loggedValue(member, depth + 1)]),
    ...(entries.length > entriesAtMost ? [['…', `${entries.length - entriesAtMost} more`]] : []),
  ]);
}

function loggedError(error: Error & { code?: unknown }, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    ...(error.code === undefined ? {} : { code: loggedValue(error.code, depth + 1) }),
    message: shownText(cut(error.message, textAtMost)),
    stack: shownLines(cut(error.stack ?? '', stackAtMost)),
    ...(error.cause === undefined ? {} : { cause: loggedValue(error.cause, depth + 1) }),
  };
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length - length} more)`;
}
