/** Seeds and damage for property lists of either form. */
import { isPlistDictionary, type PlistValue } from '../../src/protocol/plist/value.ts';
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';
import { filled, mutateBytes } from './byte-mutations.ts';
import { type TextSeed, textSeed, trickyWords } from './text-mutations.ts';

export function xmlSeed(xml: string): TextSeed {
  return textSeed(xml, /<[^>]*>|[^<]+/g, [
    ...trickyWords,
    ...['<dict>', '</dict>', '<array>', '</array>', '<true/>', '<key>', '</key>', '<string>', '</string>', '<data>'],
    ...['<integer>1</integer>', '<real>-1.5e3</real>', '<date>2026-02-30T00:00:00Z</date>', '<data>AA==</data>'],
    ...['<key>Status</key>', '<key>a</key><string>b</string>', '<string>Idle</string>', '<a b="c"/>', ' a="b"'],
    ...['&lt;', '&#65;', '&#xD800;', '&#0;', '&x;', '<![CDATA[', ']]>', '<!--', '-->', '<?a b?>', '<!DOCTYPE a [', '<'],
    ...['<array>'.repeat(40), '</array>'.repeat(40), '<dict><key>a</key>'.repeat(20)],
  ]);
}

/** The objects of a binary property list, each in bytes. References take one byte: at most 250 objects. */
export type BinarySeed = readonly Buffer[];

export function binarySeed(value: PlistValue): BinarySeed {
  const objects: Buffer[] = [];
  const add = (item: PlistValue): number => {
    const index = objects.length;
    objects.push(Buffer.alloc(0));
    objects[index] = objectOf(item, add);
    return index;
  };
  add(value);
  return objects;
}

function objectOf(value: PlistValue, add: (item: PlistValue) => number): Buffer {
  if (typeof value === 'boolean') return Buffer.from([value ? 9 : 8]);
  if (typeof value === 'number' && Number.isInteger(value)) {
    const bytes = Buffer.alloc(9, 0x13);
    bytes.writeBigInt64BE(BigInt(value), 1);
    return bytes;
  }
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Date) {
    const bytes = Buffer.alloc(9, value instanceof Date ? 0x33 : 0x23);
    bytes.writeDoubleBE(Number(value), 1);
    return bytes;
  }
  if (typeof value === 'string') return Buffer.concat([counted(5, value.length), Buffer.from(value, 'latin1')]);
  if (value instanceof Uint8Array) return Buffer.concat([counted(4, value.length), value]);
  if (!isPlistDictionary(value)) return Buffer.concat([counted(0xa, value.length), Buffer.from(value.map(add))]);
  const keys = Object.keys(value).map(add);
  return Buffer.concat([counted(0xd, keys.length), Buffer.from([...keys, ...Object.values(value).map(add)])]);
}

function counted(kind: number, count: number): Buffer {
  return count < 15
    ? Buffer.from([(kind << 4) | count])
    : Buffer.from([(kind << 4) | 0xf, 0x11, count >> 8, count & 0xff]);
}

const trickyObjects = [
  [0xa1, 0],
  [0xd1, 0, 0],
  [0xaf, 0x13, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x6f, 0x12, 0x7f, 0xff, 0xff, 0xff],
  [0x61, 0xd8, 0x00],
  [0x51, 0x80],
  [0x51, 0x00],
  [0x14, ...Array<number>(16).fill(0xff)],
  [0x33, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
  [0x80, 1],
  [0x00],
  [0xae, ...Array<number>(14).fill(1)],
].map((bytes) => Buffer.from(bytes));

/** Objects damaged, replaced, doubled or moved, then written with a table that fits; sometimes the table is damaged too. */
export function mutateBinary(random: SeededRandom, seed: BinarySeed): Buffer {
  const objects = [...seed];
  for (let round = random.integer(3); round >= 0; round -= 1) {
    const at = random.integer(objects.length);
    const object = objects[at] ?? Buffer.alloc(0);
    switch (random.integer(4)) {
      case 0:
        objects[at] = mutateBytes(random, object);
        break;
      case 1:
        objects[at] = random.pick(trickyObjects);
        break;
      case 2:
        objects.splice(at, 0, random.pick(objects));
        break;
      default: {
        // A reference that leads elsewhere.
        const changed = Buffer.from(object);
        if (changed.length > 1) changed[1 + random.integer(changed.length - 1)] = random.integer(objects.length + 1);
        objects[at] = changed;
      }
    }
  }
  const bytes = writeBinary(objects.slice(0, 250));
  if (random.chance(0.2)) bytes[bytes.length - 1 - random.integer(Math.min(bytes.length, 40))] = random.integer(256);
  return random.chance(0.1) ? mutateBytes(random, bytes) : bytes;
}

/** One object grown to about `sizeBytes`: a long string, or an array that refers to one object again and again. */
export function growBinary(random: SeededRandom, seed: BinarySeed, sizeBytes: number): Buffer {
  const objects = [...seed];
  const room = Math.max(16, sizeBytes - 4096);
  const kind = random.pick([0x4, 0x5, 0x6, 0xa, 0xd]);
  const head = Buffer.from([(kind << 4) | 0xf, 0x12, 0, 0, 0, 0]);
  const body = filled(Uint8Array.of(kind >= 0xa ? random.integer(objects.length) : 0x61), room);
  head.writeUInt32BE(kind === 0x6 || kind === 0xd ? room >> 1 : room, 2);
  objects[random.integer(objects.length)] = Buffer.concat([head, body]);
  return writeBinary(objects);
}

function writeBinary(objects: readonly Buffer[]): Buffer {
  const table = Buffer.alloc(objects.length * 4);
  let at = 8;
  for (const [index, object] of objects.entries()) {
    table.writeUInt32BE(at, index * 4);
    at += object.length;
  }
  const trailer = Buffer.alloc(32);
  trailer.writeUInt8(4, 6);
  trailer.writeUInt8(1, 7);
  trailer.writeBigUInt64BE(BigInt(objects.length), 8);
  trailer.writeBigUInt64BE(BigInt(at), 24);
  return Buffer.concat([Buffer.from('bplist00'), ...objects, table, trailer]);
}
