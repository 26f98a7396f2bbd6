/** Parsers for arguments and options; each throws commander's error that names the argument. */
import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { BrambleError } from '../base/errors.ts';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('use a number.');
  return value;
}

/** In ISO 8601. */
export function instant(text: string): string {
  // JavaScript would read a date without a time as UTC, and one with a time as local.
  const date = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);
  if (Number.isNaN(date.getTime()))
    throw new BrambleError('ERR_USAGE', `"${text}" is not a time: use 2026-11-25T08:00.`);
  return date.toISOString();
}

/** In ISO 8601; or days from now, such as `90d`. */
export function instantOrDays(text: string): string {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  return days === undefined ? instant(text) : new Date(Date.now() + Number(days) * 86_400_000).toISOString();
}

/** A text typed where certain keywords are expected: the service checks it, and lists the valid ones. */
export function unvalidated<Word extends string>(typed: string): Word {
  return typed as Word;
}

/** An option that may be repeated. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

/** Comma-separated names; may be repeated. */
export function collectNames(text: string, previous: readonly string[] = []): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw new InvalidArgumentError('use names with commas between them.');
  return [...previous, ...names];
}

/** `name=value` with a JSON value, or a text if it is not JSON; may be repeated. */
export function collectValues(text: string, previous: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const [name, typed] = nameAndValue(text);
  return { ...previous, [name]: jsonOrText(typed) };
}

/** The same for values that are texts or lists: digits are a text, with their zeros, as in `pin=001234`. */
export function collectTexts(text: string, previous: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const [name, typed] = nameAndValue(text);
  const value = jsonOrText(typed);
  return { ...previous, [name]: typeof value === 'string' || (typeof value === 'object' && value) ? value : typed };
}

/** Hosts by the name of an instance, each with a share if one is given. */
export type Places = Readonly<Record<string, readonly { host: string; share?: number }[]>>;

/** `instance=host` or `instance=host:share`; may be repeated, and for one instance too. */
export function collectPlaces(text: string, previous: Places): Places {
  const [name, place] = nameAndValue(text);
  const [, host, share] = /^([^:]+)(?::([1-9]\d{0,2}))?$/.exec(place) ?? [];
  if (host === undefined) {
    throw new InvalidArgumentError('use instance=host, or instance=host:share with a share from 1 to 999.');
  }
  const added = share === undefined ? { host } : { host, share: Number(share) };
  return { ...previous, [name]: [...(previous[name] ?? []), added] };
}

function nameAndValue(text: string): [name: string, value: string] {
  const split = text.indexOf('=');
  if (split < 1) throw new InvalidArgumentError('use name=value.');
  return [text.slice(0, split), text.slice(split + 1)];
}

/** JSON itself, or `@file` with JSON in it. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text);
  } catch {
    throw new InvalidArgumentError('use JSON, or @file to read JSON from a file.');
  }
}

/** The same, but it must be an object. */
export function jsonObject(text: string): Record<string, unknown> {
  const value = json(text);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new InvalidArgumentError('use a JSON object, or @file to read one from a file.');
}

/** The contents of the named file. */
export function fileText(path: string): string {
  return fileBytes(path).toString();
}

export function fileBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    throw new InvalidArgumentError('use the path of a readable file.');
  }
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
