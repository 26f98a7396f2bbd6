/**
 * Forms (`application/x-www-form-urlencoded`) of strangers: bodies and query strings.
 *
 * Invariant: one pass over the bytes, with a budget for everything that a sender chooses; the result is unambiguous, so
 * that two readers (router and instance) never see different values in the same bytes.
 *
 * @see URL Standard §5.1 (percent-decoding, `+` for a blank); stricter than it where it would guess.
 */
import { BrambleError } from '../base/errors.ts';

export interface FormBudget {
  /** Empty pairs, as between two ampersands, count. */
  readonly maxPairs: number;
  /** Of one name and of one value, decoded. */
  readonly maxNameBytes: number;
  readonly maxValueBytes: number;
}

const ampersand = 0x26;
const equalsSign = 0x3d;
const percent = 0x25;
const plus = 0x2b;
const blank = 0x20;

/**
 * The values by name.
 * @throws BrambleError ERR_INPUT when a budget is exceeded, a percent sign is not followed by two hexadecimal digits, a
 *   name or value is not UTF-8, or a name comes twice.
 */
export function parseForm(bytes: Uint8Array, budget: FormBudget): ReadonlyMap<string, string> {
  const form = new Map<string, string>();
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const scratch = new Uint8Array(Math.max(budget.maxNameBytes, budget.maxValueBytes));
  let name: string | null = null;
  let sizeBytes = 0;
  let pairs = 0;

  const takeText = (): string => {
    const piece = scratch.subarray(0, sizeBytes);
    sizeBytes = 0;
    try {
      return utf8.decode(piece);
    } catch (cause) {
      throw new BrambleError('ERR_INPUT', 'The form contains text that is not UTF-8.', { cause });
    }
  };
  const endPair = (): void => {
    pairs += 1;
    if (pairs > budget.maxPairs) {
      throw new BrambleError('ERR_INPUT', `The form has more than ${budget.maxPairs} fields.`);
    }
    if (name === null && sizeBytes === 0) return;
    const text = takeText();
    const [key, value] = name === null ? [text, ''] : [name, text];
    if (form.has(key)) throw new BrambleError('ERR_INPUT', 'A field of the form occurs twice.');
    form.set(key, value);
    name = null;
  };

  for (let at = 0; at < bytes.length; at += 1) {
    let byte = bytes[at] as number;
    if (byte === ampersand) {
      endPair();
      continue;
    }
    if (byte === equalsSign && name === null) {
      name = takeText();
      continue;
    }
    if (byte === plus) byte = blank;
    else if (byte === percent) {
      byte = hexValue(bytes[at + 1]) * 16 + hexValue(bytes[at + 2]);
      if (!(byte >= 0)) {
        throw new BrambleError('ERR_INPUT', 'The form contains a percent sign without two hexadecimal digits.');
      }
      at += 2;
    }
    if (sizeBytes >= (name === null ? budget.maxNameBytes : budget.maxValueBytes)) {
      throw new BrambleError('ERR_INPUT', 'A field of the form is too long.');
    }
    scratch[sizeBytes] = byte;
    sizeBytes += 1;
  }
  if (bytes.length > 0) endPair();
  return form;
}

/**
 * The form in a request target's query; empty without one. A query that is not ASCII is read byte by byte, as received.
 */
export function parseQuery(target: string, budget: FormBudget): ReadonlyMap<string, string> {
  const start = target.indexOf('?');
  return parseForm(start === -1 ? new Uint8Array() : Buffer.from(target.slice(start + 1), 'latin1'), budget);
}

/** NaN for anything but a hexadecimal digit. */
function hexValue(byte: number | undefined): number {
  if (byte === undefined) return Number.NaN;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN;
}
