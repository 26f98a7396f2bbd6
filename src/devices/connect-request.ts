/**
 * A device's connect as the database takes it: its report, reduced to what the connect statement stores. Invariant:
 * whatever a device sends, the result can be stored and is bounded; truncation is marked.
 */
import { type CommandId, isUuid } from '../base/ids.ts';
import type { CommandReport } from '../platforms/device-message.ts';
import type { Asking } from './idle-statement.ts';

/** A device's request, as an entry of a batch. */
export interface ConnectRequest extends Asking {
  status: CommandReport['status'];
  commandId: CommandId | null;
  /** The part of the answer to store, as JSON; null for an idle device. */
  answer: object | null;
  /** Stored instead if the database refuses that. */
  bareAnswer?: object;
  /** Inventory and device options in the answer, as JSON. */
  inventory: object | null;
  options: object | null;
  /** Request type of the commands whose answers may contain them. */
  inventoryRequest?: string;
}

/** Answers larger than this are kept without their lists. */
const maxAnswerBytes = 64 * 1024;

/** A device's inventory is kept up to this size. */
const maxInventoryBytes = 256 * 1024;

/** Texts, data and names are truncated to this many characters. */
const maxTextCharacters = 16_384;

/** A command id that is not a UUID is none of ours: the answer is treated like a late one. */
export function connectRequestOf(
  token: string,
  proven: Pick<ConnectRequest, 'fingerprint' | 'overTls'>,
  report: CommandReport,
): ConnectRequest {
  const { fingerprint, overTls } = proven;
  const base = { token, fingerprint, overTls, enrolment: enrolmentOf(report), status: report.status };
  if (report.status === 'idle') return { ...base, commandId: null, answer: null, inventory: null, options: null };
  const { commandId, answer, essentials, bareAnswer, inventory, inventoryRequest, optionNames } = report;
  const known = inventory === null ? null : inventoryOf(inventory);
  return {
    ...base,
    commandId: isUuid(commandId) ? (commandId.toLowerCase() as CommandId) : null,
    answer: storedAnswer(answer, essentials),
    bareAnswer,
    inventory: known,
    inventoryRequest,
    options: known === null ? null : pickOptions(known, optionNames),
  };
}

/** PostgreSQL text cannot hold NUL, and no name contains it. */
function enrolmentOf({ deviceName }: CommandReport): string | null {
  return deviceName?.replaceAll('\u0000', '') ?? null;
}

type Facts = Readonly<Record<string, unknown>>;

/** Complete if no larger than any device's inventory, otherwise the first facts that fit. */
function inventoryOf(responses: Facts): Record<string, unknown> {
  return firstThatFit(Object.entries(new Storable().dictionary(responses)), maxInventoryBytes);
}

function pickOptions(responses: Facts, optionNames: ReadonlySet<string>): object | null {
  const options = Object.entries(responses).filter(([name]) => optionNames.has(name));
  return options.length === 0 ? null : Object.fromEntries(options);
}

function storedAnswer(answer: Facts, essentials: readonly string[]): object {
  const storable = new Storable();
  const whole = storable.dictionary(answer);
  if (JSON.stringify(whole).length <= maxAnswerBytes) return storable.cut ? { ...whole, truncated: true } : whole;
  const kept = essentials.filter((name) => Object.hasOwn(whole, name));
  const explained = kept.map((name): [string, unknown] => [name, firstItems(whole[name])]);
  return { ...firstThatFit(explained, maxAnswerBytes), truncated: true };
}

/** In a list that is too long, such as one of errors, the first items matter most. */
function firstItems(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return Object.values(firstThatFit(Object.entries(value), maxAnswerBytes / 2));
}

function firstThatFit(entries: readonly [string, unknown][], maxBytes: number): Record<string, unknown> {
  let left = maxBytes - 2;
  return Object.fromEntries(
    entries.filter(([name, value]) => {
      const size = JSON.stringify([name, value]).length;
      if (size > left) return false;
      left -= size;
      return true;
    }),
  );
}

/** Makes JSON that PostgreSQL's jsonb accepts, and notes whether anything was truncated. */
class Storable {
  cut = false;

  dictionary(dictionary: Facts): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(dictionary).map(([name, value]) => [this.#text(name), this.#value(value)]),
    );
  }

  #value(value: unknown): unknown {
    if (value === undefined || value === null) return null;
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'string') return this.#text(value);
    if (value instanceof Uint8Array) return this.#text(Buffer.from(value).toString('base64'));
    if (value instanceof Date) return value.toISOString();
    if (Array.isArray(value)) return value.map((item) => this.#value(item));
    if (typeof value === 'object') return this.dictionary(value as Facts);
    return value;
  }

  /** jsonb accepts neither NUL nor half a surrogate pair, and one refused row would fail the whole batch. */
  #text(text: string): string {
    if (text.length > maxTextCharacters) this.cut = true;
    return text.slice(0, maxTextCharacters).toWellFormed().replaceAll('\u0000', '');
  }
}
