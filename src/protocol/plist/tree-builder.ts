/**
 * Builds one value from the events of an XML reader. Invariant: keys and values alternate, no key comes twice, and
 * depth and count stay within the limits.
 */
import { dataOf, dateOf, integerOf, realOf } from './scalar.ts';
import {
  type MutableDictionary,
  newDictionary,
  type PlistLimits,
  type PlistValue,
  plistMalformed,
  plistTooDeep,
  plistTooLarge,
} from './value.ts';

interface DictionaryFrame {
  readonly kind: 'dict';
  readonly value: MutableDictionary;
  key: string | undefined;
}
interface ArrayFrame {
  readonly kind: 'array';
  readonly value: PlistValue[];
}

export class PlistTreeBuilder {
  readonly #limits: PlistLimits;
  readonly #frames: (DictionaryFrame | ArrayFrame)[] = [];
  #frame: DictionaryFrame | ArrayFrame | undefined;
  #values = 0;
  #root: PlistValue | undefined;

  constructor(limits: PlistLimits) {
    this.#limits = limits;
  }

  open(kind: 'dict' | 'array'): void {
    if (this.#frames.length >= this.#limits.maxDepth) throw plistTooDeep(this.#limits);
    const frame: DictionaryFrame | ArrayFrame =
      kind === 'dict' ? { kind, value: newDictionary(), key: undefined } : { kind, value: [] };
    this.#add(frame.value);
    this.#frames.push(frame);
    this.#frame = frame;
  }

  close(kind: 'dict' | 'array'): void {
    const frame = this.#frames.pop();
    if (frame?.kind !== kind) throw plistMalformed(`</${kind}> closes another element`);
    if (frame.kind === 'dict' && frame.key !== undefined) throw plistMalformed('a key has no value');
    this.#frame = this.#frames.at(-1);
  }

  /** A whole element that holds only text. */
  leaf(name: string, text: string): void {
    switch (name) {
      case 'key':
        this.#key(text);
        break;
      case 'string':
        this.#add(text);
        break;
      case 'true':
      case 'false':
        if (text.trim() !== '') throw plistMalformed(`<${name}/> has content`);
        this.#add(name === 'true');
        break;
      case 'integer':
        this.#add(this.#scalar(integerOf, text));
        break;
      case 'real':
        this.#add(this.#scalar(realOf, text));
        break;
      case 'date':
        this.#add(this.#scalar(dateOf, text));
        break;
      case 'data':
        this.#add(this.#scalar(dataOf, text));
        break;
      default:
        throw plistMalformed('it contains an element that property lists do not have');
    }
  }

  /** The finished value. @throws BrambleError ERR_PLIST_MALFORMED when there is none, or not all is closed. */
  finish(): PlistValue {
    if (this.#frame !== undefined) throw plistMalformed('it ends too early');
    if (this.#root === undefined) throw plistMalformed('it contains no value');
    return this.#root;
  }

  #scalar(read: (text: string) => PlistValue, text: string): PlistValue {
    if (this.#limits.oddScalars === undefined) return read(text);
    try {
      return read(text);
    } catch {
      return text;
    }
  }

  #key(text: string): void {
    const frame = this.#frame;
    if (frame?.kind !== 'dict' || frame.key !== undefined) throw plistMalformed('a key is out of place');
    if (text in frame.value) throw plistMalformed('a dictionary has a key twice');
    frame.key = text;
  }

  #add(value: PlistValue): void {
    if (++this.#values > this.#limits.maxValues) throw plistTooLarge(this.#limits);
    const frame = this.#frame;
    if (frame === undefined) {
      if (this.#root !== undefined) throw plistMalformed('it contains more than one value');
      this.#root = value;
    } else if (frame.kind === 'array') {
      frame.value.push(value);
    } else {
      if (frame.key === undefined) throw plistMalformed('a value in a dictionary has no key');
      frame.value[frame.key] = value;
      frame.key = undefined;
    }
  }
}
