/**
 * What a device's connect means for the database: the parsed plist, narrowed to what the connect statement stores.
 * Invariant: whatever a device sends, what is made of it here can be stored, and is bounded; what was cut is marked.
 */
import { type CommandId, isUuid } from '../base/ids.ts';
import type { ConnectAnswer } from '../protocol/apple/connect.ts';
import { deviceOptionQueries } from '../protocol/apple/device-information.ts';
import { isPlistDictionary, type PlistDictionary, type PlistValue } from '../protocol/plist/value.ts';
import type { ConnectRequest } from './connect-statement.ts';

const optionNames = new Set(deviceOptionQueries);

/** Answers larger than this are kept without their lists. */
const answerBytesAtMost = 64 * 1024;

/** What a device says of itself is kept up to this size. */
const inventoryBytesAtMost = 256 * 1024;

/** Texts, data and names are cut to so many characters. */
const textCharactersAtMost = 16_384;

/** A command id that is no UUID names no command of ours: the answer is taken like a late one. */
export function connectRequestOf(
  token: string,
  proven: Pick<ConnectRequest, 'fingerprint' | 'overTls'>,
  answer: ConnectAnswer,
): ConnectRequest {
  const { fingerprint, overTls } = proven;
  const base = { token, fingerprint, overTls, enrolment: enrolmentOf(answer), status: answer.status };
  if (answer.status === 'Idle') return { ...base, commandId: null, answer: null, inventory: null, options: null };
  const commandId = isUuid(answer.commandUuid) ? (answer.commandUuid.toLowerCase() as CommandId) : null;
  const responses = answer.payload['QueryResponses'];
  const known = answer.status === 'Acknowledged' && isPlistDictionary(responses) ? inventoryOf(responses) : null;
  return {
    ...base,
    commandId,
    answer: storedAnswer(answer.payload),
    inventory: known,
    options: known === null ? null : pickOptions(known),
  };
}

/** A NUL is no character to the database, and of no UDID. */
function enrolmentOf({ udid, enrollmentId }: ConnectAnswer): string | null {
  return (udid ?? enrollmentId)?.replaceAll('\u0000', '') ?? null;
}

/** Whole where it is no larger than any device's inventory, otherwise the first facts of it that fit. */
function inventoryOf(responses: PlistDictionary): Record<string, unknown> {
  return firstThatFit(Object.entries(new Storable().dictionary(responses)), inventoryBytesAtMost);
}

function pickOptions(responses: Record<string, unknown>): object | null {
  const options = Object.entries(responses).filter(([name]) => optionNames.has(name));
  return options.length === 0 ? null : Object.fromEntries(options);
}

function storedAnswer(payload: PlistDictionary): object {
  const storable = new Storable();
  const whole = storable.dictionary(payload);
  if (JSON.stringify(whole).length <= answerBytesAtMost) return storable.cut ? { ...whole, truncated: true } : whole;
  const kept = ['Status', 'CommandUUID', 'ErrorChain'].filter((name) => Object.hasOwn(whole, name));
  const explained = kept.map((name): [string, unknown] => [
    name,
    name === 'ErrorChain' ? firstErrors(whole[name]) : whole[name],
  ]);
  return { ...firstThatFit(explained, answerBytesAtMost), truncated: true };
}

/** Of a chain that is too long the first errors say most. */
function firstErrors(chain: unknown): unknown {
  if (!Array.isArray(chain)) return chain;
  return Object.values(firstThatFit(Object.entries(chain), answerBytesAtMost / 2));
}

function firstThatFit(entries: readonly [string, unknown][], bytesAtMost: number): Record<string, unknown> {
  let left = bytesAtMost - 2;
  return Object.fromEntries(
    entries.filter(([name, value]) => {
      const size = JSON.stringify([name, value]).length;
      if (size > left) return false;
      left -= size;
      return true;
    }),
  );
}

/** Makes JSON of a property list that PostgreSQL's jsonb takes, and notes whether anything had to be cut. */
class Storable {
  cut = false;

  dictionary(dictionary: PlistDictionary): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(dictionary).map(([name, value]) => [this.#text(name), this.#value(value)]),
    );
  }

  #value(value: PlistValue | undefined): unknown {
    if (value === undefined) return null;
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'string') return this.#text(value);
    if (value instanceof Uint8Array) return this.#text(Buffer.from(value).toString('base64'));
    if (value instanceof Date) return value.toISOString();
    if (Array.isArray(value)) return value.map((item) => this.#value(item));
    if (isPlistDictionary(value)) return this.dictionary(value);
    return value;
  }

  /** jsonb takes neither NUL nor half a surrogate pair, and in a batch one that is refused would fail the others. */
  #text(text: string): string {
    if (text.length > textCharactersAtMost) this.cut = true;
    return text.slice(0, textCharactersAtMost).toWellFormed().replaceAll('\u0000', '');
  }
}
