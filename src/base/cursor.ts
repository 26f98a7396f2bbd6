/**
 * Where a page of a list ended: the `next` of its answer, which a client hands back as `after`. It is base64url of the JSON
 * `[list, sort, key, …]`, with the keys of the last entry.
 *
 * Invariant: keys that were read from one fit the list and the sort they are read for. A cursor of another list, of another sort, or
 * that no answer gave is refused.
 */
import type { BrambleError } from './errors.ts';
import { fieldError } from './field-error.ts';
import { isUuid } from './ids.ts';
import { jsonOrUndefined } from './shallow-json.ts';

/** `time` is a text with microseconds: of two entries in one millisecond one would be repeated or left out. */
export type KeyKind = 'text' | 'time' | 'id' | 'number';
export type Key = string | number;

/** The place of an entry is told by these keys, in the order that `sort` names. */
export interface Order {
  readonly list: string;
  /** With a leading `-` if it descends. */
  readonly sort: string;
  readonly keys: readonly KeyKind[];
}

export const maxCursorLength = 2000;

export function cursorOf({ list, sort }: Order, keys: readonly Key[]): string {
  return Buffer.from(JSON.stringify([list, sort, ...keys])).toString('base64url');
}

/** @throws BrambleError ERR_INPUT for one that does not belong here */
export function keysOf(order: Order, cursor: string): readonly Key[] {
  const [list, sort, ...keys] = readParts(cursor);
  if (list !== order.list) throw refused(`belongs to another list (${list})`);
  if (sort !== order.sort) throw refused(`belongs to another sort (${sort})`);
  if (keys.length !== order.keys.length || !keys.every((key, index) => isKey(key, order.keys[index]))) {
    throw refused('is not a `next` value of this list');
  }
  return keys as Key[];
}

/** Whether it has the form of one, wherever it belongs. */
export function isCursor(text: string): boolean {
  return partsOf(text) !== undefined;
}

function readParts(cursor: string): readonly unknown[] {
  const parts = partsOf(cursor);
  if (parts === undefined) throw refused('is not a `next` value of this list');
  return parts;
}

const listWord = /^[a-z][a-z-]{0,40}$/;
const sortWord = /^-?[a-zA-Z]{1,40}$/;

function partsOf(cursor: string): readonly [string, string, ...unknown[]] | undefined {
  if (cursor.length > maxCursorLength || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined;
  const parts = jsonOrUndefined(Buffer.from(cursor, 'base64url').toString());
  if (!Array.isArray(parts)) return undefined;
  const [list, sort] = parts;
  const isOne = typeof list === 'string' && listWord.test(list) && typeof sort === 'string' && sortWord.test(sort);
  return isOne ? (parts as [string, string, ...unknown[]]) : undefined;
}

function isKey(key: unknown, kind: KeyKind | undefined): boolean {
  if (kind === 'number') return Number.isSafeInteger(key) && (key as number) >= 0;
  if (typeof key !== 'string' || key.includes('\0') || !key.isWellFormed()) return false;
  if (kind === 'id') return isUuid(key);
  return kind === 'text' || isTime(key);
}

function isTime(key: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(key)) return false;
  // Of the 31st of February JavaScript makes a day of March.
  const ms = Date.parse(key);
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 19) === key.slice(0, 19);
}

function refused(why: string): BrambleError {
  return fieldError('querystring', 'after', why, 'Use the `next` value of the previous page, with the same sort.');
}
