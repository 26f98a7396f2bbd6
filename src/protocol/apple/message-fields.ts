/**
 * Takes fields of known types out of a message. Invariant: a field of another type is an error, never a wrong value; a
 * missing field is undefined only where that is allowed.
 */
import type { ErrorCode } from '../../base/error-codes.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { parsePlist } from '../plist/parser.ts';
import { defaultPlistLimits, isPlistDictionary, type PlistDictionary, type PlistValue } from '../plist/value.ts';

/** Longest identifier (UDID, UUID, topic, push magic) in characters. */
const maxIdentifierLength = 256;
/** Longest text of a device, such as an error's description; usually some hundred characters. */
const maxTextLength = 16_384;

export class MessageFields {
  readonly dictionary: PlistDictionary;
  readonly #code: ErrorCode;
  readonly #what: string;

  /** @throws BrambleError with the given code when the value is not a dictionary */
  constructor(value: PlistValue | undefined, code: ErrorCode, what: string) {
    this.#code = code;
    this.#what = what;
    if (!isPlistDictionary(value)) throw this.malformed('it is not a dictionary');
    this.dictionary = value;
  }

  /**
   * The fields of a body. A body too large or too deep keeps its own code.
   * @throws BrambleError with the given code, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE
   */
  static parse(body: Uint8Array, code: ErrorCode, what: string, limits = defaultPlistLimits): MessageFields {
    let value: PlistValue;
    try {
      value = parsePlist(body, limits);
    } catch (error) {
      if (!isBrambleError(error, 'ERR_PLIST_MALFORMED')) throw error;
      throw new BrambleError(code, `The ${what} cannot be read: ${error.message}`, { cause: error });
    }
    return new MessageFields(value, code, what);
  }

  malformed(why: string): BrambleError {
    return new BrambleError(this.#code, `The ${this.#what} cannot be read: ${why}.`);
  }

  /** A non-empty identifier. */
  identifier(name: string): string {
    return this.optionalIdentifier(name) ?? this.#missing(name);
  }

  optionalIdentifier(name: string): string | undefined {
    const text = this.optionalText(name);
    if (text === '' || (text !== undefined && text.length > maxIdentifierLength)) {
      throw this.malformed(`${name} is empty or longer than ${maxIdentifierLength} characters`);
    }
    return text;
  }

  optionalText(name: string): string | undefined {
    const value = this.dictionary[name];
    if (value === undefined) return value;
    if (typeof value !== 'string') throw this.malformed(`${name} is not a string`);
    if (value.length > maxTextLength) throw this.malformed(`${name} is longer than ${maxTextLength} characters`);
    return value;
  }

  data(name: string): Uint8Array {
    return this.optionalData(name) ?? this.#missing(name);
  }

  optionalData(name: string): Uint8Array | undefined {
    const value = this.dictionary[name];
    if (value === undefined || value instanceof Uint8Array) return value;
    throw this.malformed(`${name} is not data`);
  }

  optionalBoolean(name: string): boolean | undefined {
    const value = this.dictionary[name];
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.malformed(`${name} is not true or false`);
  }

  optionalInteger(name: string): number | undefined {
    const value = this.dictionary[name];
    if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined;
    throw this.malformed(`${name} is not a whole number`);
  }

  optionalArray(name: string): readonly PlistValue[] | undefined {
    const value = this.dictionary[name];
    if (value === undefined || Array.isArray(value)) return value;
    throw this.malformed(`${name} is not an array`);
  }

  #missing(name: string): never {
    throw this.malformed(`${name} is missing`);
  }
}
