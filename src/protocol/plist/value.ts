/**
 * The values that a property list holds, and the limits within which one is read.
 * Invariant: dictionaries have no prototype, so that a key such as `__proto__` or `constructor` is only ever a key.
 */
import { BrambleError } from '../../base/errors.ts';

export type PlistValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | readonly PlistValue[]
  | PlistDictionary;

/** Integers within ±2^53 are numbers, larger ones bigints. Keys that look like array indexes come first (JavaScript). */
export interface PlistDictionary {
  readonly [key: string]: PlistValue;
}

/** A dictionary while it is being filled. */
export interface MutableDictionary {
  [key: string]: PlistValue;
}

export interface PlistLimits {
  /** Largest accepted document, in bytes. A binary one may unfold to four times as much. */
  readonly maxSizeBytes: number;
  /** How deep arrays and dictionaries may be nested. */
  readonly maxDepth: number;
  /** How many values a document may hold, each reference to a shared one counted. */
  readonly maxValues: number;
  /**
   * `kept`: a scalar that is not of its kind (`<integer>twelve</integer>`, octets that are not UTF-8) is kept as far as
   * it is text. Without it the document counts as damaged.
   */
  readonly oddScalars?: 'kept';
}

export const defaultPlistLimits: PlistLimits = { maxSizeBytes: 1_048_576, maxDepth: 32, maxValues: 100_000 };

export function newDictionary(): MutableDictionary {
  return Object.create(null);
}

export function isPlistDictionary(value: PlistValue | undefined): value is PlistDictionary {
  return (
    typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array) && !(value instanceof Date)
  );
}

export function plistMalformed(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_PLIST_MALFORMED', `The property list is damaged: ${why}.`, { cause });
}

export function plistTooDeep(limits: PlistLimits): BrambleError {
  return new BrambleError('ERR_PLIST_TOO_DEEP', `The property list is nested deeper than ${limits.maxDepth} levels.`);
}

export function plistTooLarge(limits: PlistLimits): BrambleError {
  return new BrambleError(
    'ERR_PLIST_TOO_LARGE',
    `The property list exceeds ${limits.maxSizeBytes} bytes or ${limits.maxValues} values.`,
  );
}
