/**
 * Values on their way into a log line. Many of them are a stranger's: an account name out of a form, a path, a header.
 * Invariant: a line has a few kilobytes at most, and nothing in it that a terminal obeys.
 */
import { shownLines, shownText } from '../../base/shown-text.ts';

const maxText = 500;
const maxStack = 4000;
const maxEntries = 40;
const maxDepth = 4;

/** The value with every text cut and escaped, and as much of its members as a line can hold. */
export function loggedValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return shownText(cut(value, maxText));
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= maxDepth) return '…';
  if (value instanceof Error) return loggedError(value, depth);
  if (Array.isArray(value)) {
    const shown = value.slice(0, maxEntries).map((element) => loggedValue(element, depth + 1));
    return value.length > maxEntries ? [...shown, `… (${value.length - maxEntries} more)`] : shown;
  }
  const entries = Object.entries(value);
  return Object.fromEntries([
    ...entries
      .slice(0, maxEntries)
      .map(([key, member]) => [shownText(cut(key, maxText)), loggedValue(member, depth + 1)]),
    ...(entries.length > maxEntries ? [['…', `${entries.length - maxEntries} more`]] : []),
  ]);
}

function loggedError(error: Error & { code?: unknown }, depth: number): Record<string, unknown> {
  return {
    type: error.name,
    ...(error.code === undefined ? {} : { code: loggedValue(error.code, depth + 1) }),
    message: shownText(cut(error.message, maxText)),
    stack: shownLines(cut(error.stack ?? '', maxStack)),
    ...(error.cause === undefined ? {} : { cause: loggedValue(error.cause, depth + 1) }),
  };
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${text.length - length} more)`;
}
