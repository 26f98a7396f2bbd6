/** What a device's connect means for the database: the parsed plist, narrowed to what the connect statement stores. */
import { type CommandId, isUuid } from '../base/ids.ts';
import { enrolmentNameOf } from '../protocol/apple/checkin.ts';
import type { ConnectAnswer } from '../protocol/apple/connect.ts';
import { deviceOptionQueries } from '../protocol/apple/device-information.ts';
import { isPlistDictionary, type PlistDictionary, type PlistValue } from '../protocol/plist/value.ts';
import type { ConnectRequest } from './connect-statement.ts';

const optionNames = new Set(deviceOptionQueries);

/** Answers larger than this are kept without their lists. */
const answerBytesAtMost = 64 * 1024;

/** What a device says of itself is kept up to this size. */
const inventoryBytesAtMost = 256 * 1024;

/** A command id that is no UUID names no command of ours: the answer is taken like a late one. */
export function connectRequestOf(
  token: string,
  proven: Pick<ConnectRequest, 'fingerprint' | 'overTls'>,
  answer: ConnectAnswer,
): ConnectRequest {
  const { fingerprint, overTls } = proven;
  const base = { token, fingerprint, overTls, enrolment: enrolmentNameOf(answer), status: answer.status };
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

/** Null where it is larger than any device's inventory. */
function inventoryOf(responses: PlistDictionary): Record<string, unknown> | null {
  const inventory = jsonOf(responses);
  return JSON.stringify(inventory).length <= inventoryBytesAtMost ? inventory : null;
}

function pickOptions(responses: Record<string, unknown>): object | null {
  const options = Object.entries(responses).filter(([name]) => optionNames.has(name));
  return options.length === 0 ? null : Object.fromEntries(options);
}

function storedAnswer(payload: PlistDictionary): object {
  const whole = jsonOf(payload);
  if (JSON.stringify(whole).length <= answerBytesAtMost) return whole;
  const { Status, CommandUUID, ErrorChain } = whole as {
    Status?: unknown;
    CommandUUID?: unknown;
    ErrorChain?: unknown;
  };
  const cut = { Status, CommandUUID, truncated: true };
  const explained = { ...cut, ErrorChain };
  return JSON.stringify(explained).length <= answerBytesAtMost ? explained : cut;
}

function jsonOf(dictionary: PlistDictionary): Record<string, unknown> {
  return Object.fromEntries(Object.entries(dictionary).map(([name, value]) => [storedText(name), jsonValue(value)]));
}

/** PostgreSQL's jsonb takes neither NUL nor half a surrogate pair, and in a batch one that is refused would fail the others. */
function storedText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '');
}

function jsonValue(value: PlistValue | undefined): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return storedText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(jsonValue);
  if (isPlistDictionary(value)) return jsonOf(value);
  return value;
}
