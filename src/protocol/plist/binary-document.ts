/**
 * Reads binary property lists (`bplist00`).
 * Invariant: every offset is checked, cycles are refused, and values are counted each time they are *referred to*, so that
 * a small document of shared objects cannot unfold without end.
 */
import { isAscii } from 'node:buffer';
import { narrowed } from './scalar.ts';
import {
  newDictionary,
  type PlistLimits,
  type PlistValue,
  plistMalformed,
  plistTooDeep,
  plistTooLarge,
} from './value.ts';

const trailerBytes = 32;
/** Seconds between 1970 and 2001, where binary property lists count from. */
const epochSeconds = 978_307_200;

/** @throws BrambleError ERR_PLIST_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function parseBinaryDocument(bytes: Uint8Array, limits: PlistLimits): PlistValue {
  return new BinaryReader(bytes, limits).root();
}

class BinaryReader {
  readonly #bytes: Buffer;
  readonly #limits: PlistLimits;
  readonly #offsetBytes: number;
  readonly #referenceBytes: number;
  readonly #objectCount: number;
  readonly #rootIndex: number;
  readonly #tableStart: number;
  readonly #open = new Set<number>();
  readonly #leaves = new Map<number, PlistValue>();
  #values = 0;
  #unfoldedBytes = 0;

  constructor(bytes: Uint8Array, limits: PlistLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
    const trailer = bytes.length - trailerBytes;
    if (trailer < 8) throw plistMalformed('it ends too early');
    this.#offsetBytes = this.#bytes.readUInt8(trailer + 6);
    this.#referenceBytes = this.#bytes.readUInt8(trailer + 7);
    this.#objectCount = this.#size(trailer + 8);
    this.#rootIndex = this.#size(trailer + 16);
    this.#tableStart = this.#size(trailer + 24);
    if (!isWidth(this.#offsetBytes) || !isWidth(this.#referenceBytes)) throw plistMalformed('its trailer is wrong');
    if (this.#tableStart < 8 || this.#tableStart + this.#objectCount * this.#offsetBytes > trailer) {
      throw plistMalformed('its offset table is invalid');
    }
  }

  root(): PlistValue {
    return this.#object(this.#rootIndex, 0);
  }

  #size(position: number): number {
    const value = this.#bytes.readBigUInt64BE(position);
    if (value > BigInt(this.#bytes.length)) throw plistMalformed('a count or offset lies outside it');
    return Number(value);
  }

  #unsigned(position: number, width: number): number {
    if (position + width > this.#tableStart) throw plistMalformed('an object is cut off');
    if (width <= 6) return this.#bytes.readUIntBE(position, width);
    return this.#size(position);
  }

  #object(index: number, depth: number): PlistValue {
    if (++this.#values > this.#limits.maxValues) throw plistTooLarge(this.#limits);
    if (index >= this.#objectCount) throw plistMalformed('a reference points to no object');
    const known = this.#leaves.get(index);
    if (known !== undefined) {
      this.#count(sizeOf(known));
      return known;
    }
    const entry = this.#tableStart + index * this.#offsetBytes;
    const offset = this.#offsetBytes <= 6 ? this.#bytes.readUIntBE(entry, this.#offsetBytes) : this.#size(entry);
    if (offset < 8 || offset >= this.#tableStart) throw plistMalformed('an offset lies outside it');
    const marker = this.#bytes.readUInt8(offset);
    const kind = marker >> 4;
    if (kind === 0xa || kind === 0xd) return this.#container(index, kind, offset, marker & 0xf, depth);
    const leaf = this.#scalar(kind, marker & 0xf, offset);
    this.#count(sizeOf(leaf));
    this.#leaves.set(index, leaf);
    return leaf;
  }

  #count(sizeBytes: number): void {
    this.#unfoldedBytes += sizeBytes;
    if (this.#unfoldedBytes > this.#limits.maxSizeBytes * 4) throw plistTooLarge(this.#limits);
  }

  #container(index: number, kind: 0xa | 0xd, offset: number, low: number, depth: number): PlistValue {
    if (depth >= this.#limits.maxDepth) throw plistTooDeep(this.#limits);
    if (this.#open.has(index)) throw plistMalformed('an object contains itself');
    const { count, start } = this.#countAt(offset, low);
    const width = this.#referenceBytes;
    if (start + count * width * (kind === 0xd ? 2 : 1) > this.#tableStart) throw plistMalformed('an object is cut off');
    this.#open.add(index);
    const reference = (position: number) => this.#object(this.#unsigned(start + position * width, width), depth + 1);
    let value: PlistValue;
    if (kind === 0xa) {
      const items: PlistValue[] = [];
      for (let item = 0; item < count; item++) items.push(reference(item));
      value = items;
    } else {
      const dictionary = newDictionary();
      for (let item = 0; item < count; item++) {
        const key = reference(item);
        if (typeof key !== 'string') throw plistMalformed('a key is not a string');
        if (key in dictionary) throw plistMalformed('a dictionary has a key twice');
        dictionary[key] = reference(count + item);
      }
      value = dictionary;
    }
    this.#open.delete(index);
    return value;
  }

  /** The count of an object: in the marker itself, or in an integer behind it. */
  #countAt(offset: number, low: number): { count: number; start: number } {
    if (low !== 0xf) return { count: low, start: offset + 1 };
    const marker = offset + 1 < this.#tableStart ? this.#bytes.readUInt8(offset + 1) : 0;
    const width = 1 << (marker & 0xf);
    if (marker >> 4 !== 1 || width > 8) throw plistMalformed('a count is not an integer');
    return { count: this.#unsigned(offset + 2, width), start: offset + 2 + width };
  }

  #scalar(kind: number, low: number, offset: number): PlistValue {
    if (this.#limits.oddScalars === undefined) return this.#leaf(kind, low, offset);
    try {
      return this.#leaf(kind, low, offset);
    } catch {
      return '';
    }
  }

  #leaf(kind: number, low: number, offset: number): PlistValue {
    switch (kind) {
      case 0x0:
        if (low !== 8 && low !== 9) throw plistMalformed('it contains null');
        return low === 9;
      case 0x1:
        return this.#integer(offset + 1, 1 << low);
      case 0x2:
        if (low === 2) return this.#slice(offset + 1, 4).readFloatBE();
        if (low === 3) return this.#slice(offset + 1, 8).readDoubleBE();
        throw plistMalformed('a real has an unsupported width');
      case 0x3:
        return this.#date(low, offset);
      case 0x4: {
        const { count, start } = this.#countAt(offset, low);
        return Buffer.from(this.#slice(start, count));
      }
      case 0x5: {
        const { count, start } = this.#countAt(offset, low);
        const text = this.#slice(start, count);
        if (!isAscii(text)) throw plistMalformed('an ASCII string is not ASCII');
        return text.toString('latin1');
      }
      case 0x6: {
        const { count, start } = this.#countAt(offset, low);
        const text = Buffer.from(this.#slice(start, count * 2))
          .swap16()
          .toString('utf16le');
        if (!text.isWellFormed()) throw plistMalformed('a string is not Unicode');
        return text;
      }
      default:
        throw plistMalformed('it contains an object type that devices do not use');
    }
  }

  #date(low: number, offset: number): Date {
    if (low !== 3) throw plistMalformed('a date has an unsupported width');
    const date = new Date(Math.round((this.#slice(offset + 1, 8).readDoubleBE() + epochSeconds) * 1000));
    if (Number.isNaN(date.getTime())) throw plistMalformed('a date is out of range');
    return date;
  }

  #integer(position: number, width: number): number | bigint {
    if (width < 8) return this.#slice(position, width).readUIntBE(0, width);
    if (width === 8) return narrowed(this.#slice(position, 8).readBigInt64BE());
    if (width !== 16) throw plistMalformed('an integer has an unsupported width');
    const slice = this.#slice(position, 16);
    const value = (slice.readBigInt64BE(0) << 64n) | slice.readBigUInt64BE(8);
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw plistMalformed('an integer has more than 64 bits');
    return narrowed(value);
  }

  /** Octets are charged before they are read: reading costs the same whatever the outcome. */
  #slice(start: number, length: number): Buffer {
    if (start + length > this.#tableStart) throw plistMalformed('an object is cut off');
    this.#count(length);
    return this.#bytes.subarray(start, start + length);
  }
}

function isWidth(width: number): boolean {
  return width >= 1 && width <= 8 && width !== 7;
}

function sizeOf(leaf: PlistValue): number {
  return typeof leaf === 'string' || leaf instanceof Uint8Array ? leaf.length : 8;
}
