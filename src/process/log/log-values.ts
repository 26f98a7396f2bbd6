/**
 * Makes values fit for a log line. Many come from strangers: an account name from a form, a path, a header.
 *
 * Invariant: a line has a few kilobytes at most, and contains nothing that a terminal would interpret.
 */
import { shownLines, shownText } from '../../base/shown-text.ts';

const maxText = 500;
const maxStack = 4000;
const maxEntries = 40;
const maxDepth = 4;

/** The value with every text shortened and escaped, and as many of its members as a line can hold. */
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
