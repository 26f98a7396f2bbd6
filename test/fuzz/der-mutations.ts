/**
 * Damage to DER that knows its structure: elements are dropped, doubled, moved, retagged, wrapped, written in BER or with
 * odd values, and everything around them is written again with lengths that fit, so that readers get past the first one.
 */
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';
import { filled, mutateBytes } from './byte-mutations.ts';

interface Node {
  readonly tag: number;
  /** Of a primitive element; of one that wraps DER in a string the octets before it. */
  readonly content: Buffer;
  readonly children: readonly Node[] | undefined;
  /** As it stood in the seed, for as long as nothing inside of it is changed. */
  readonly whole: Buffer;
}

/** A message taken apart, once for many mutations. */
export interface DerSeed {
  readonly root: Node;
  readonly nodes: readonly Node[];
  readonly parents: ReadonlyMap<Node, Node>;
}

export function derSeed(bytes: Uint8Array): DerSeed {
  const root = nodesIn(Buffer.from(bytes))?.[0];
  if (root === undefined) throw new TypeError('the seed is not DER');
  const nodes: Node[] = [];
  const parents = new Map<Node, Node>();
  const collect = (node: Node): void => {
    nodes.push(node);
    for (const child of node.children ?? []) {
      parents.set(child, node);
      collect(child);
    }
  };
  collect(root);
  return { root, nodes, parents };
}

/** The elements that fill `bytes`; undefined where they do not. */
function nodesIn(bytes: Buffer): Node[] | undefined {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    const first = bytes[at + 1] ?? 0x80;
    if (first === 0x80 || tag === 0 || (tag & 0x1f) === 0x1f) return undefined;
    const lengthOctets = first < 0x80 ? 0 : first & 0x7f;
    if (lengthOctets > 3 || at + 2 + lengthOctets > bytes.length) return undefined;
    const length = lengthOctets === 0 ? first : bytes.readUIntBE(at + 2, lengthOctets);
    const start = at + 2 + lengthOctets;
    if (start + length > bytes.length) return undefined;
    const content = bytes.subarray(start, start + length);
    const whole = bytes.subarray(at, start + length);
    at = start + length;
    const prefix = tag === 0x03 && content[0] === 0 ? 1 : 0;
    const wraps = (tag & 0x20) !== 0 || ((tag === 0x04 || prefix === 1) && content[prefix] === 0x30);
    const children = wraps ? nodesIn(content.subarray(prefix)) : undefined;
    nodes.push({ tag, content: children === undefined ? content : content.subarray(0, prefix), children, whole });
  }
  return nodes;
}

type Write = (content: Buffer, node: Node) => Buffer;

function header(tag: number, length: number, octets = 0): Buffer {
  const needed = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const used = Math.max(needed, octets);
  if (used === 0) return Buffer.from([tag, length]);
  const bytes = Buffer.alloc(2 + used);
  bytes[0] = tag;
  bytes[1] = 0x80 | used;
  bytes.writeUIntBE(length, 2, used);
  return bytes;
}

const element = (tag: number, content: Uint8Array) => Buffer.concat([header(tag, content.length), content]);
const indefinite = (tag: number, content: Uint8Array) =>
  Buffer.concat([Uint8Array.of(tag, 0x80), content, Uint8Array.of(0, 0)]);
const endOfContents = Uint8Array.of(0, 0);

const values: Readonly<Record<number, readonly (string | number[])[]>> = {
  1: [[], [0], [1], [0xff, 0xff]],
  2: [[], [0], [0x80], [0, 1], [0xff, 0xff], [0, 0x80], Array<number>(21).fill(0x11), Array<number>(300).fill(0x7f)],
  3: [[], [8], [1, 1], [0], [7, 0x80]],
  6: [
    [],
    [0x2a, 0x80, 1],
    [0x80],
    [0x55, 0x1d, 0x0e],
    [0x55, 0x1d, 0x1e],
    Array<number>(41).fill(0x81),
    [0x2b, 14, 3, 2, 7],
  ],
  12: [[0xc3], [0xed, 0xa0, 0x80], [0], 'x'.repeat(5000)],
  23: ['', '991231235959Z', '260230000000Z', '2601010000Z', '260101000000+0100', '000000000000Z'],
  24: ['20260101000000Z', '00000101000000Z', '99991231235959Z', '20260101000000.5Z', '20261301000000Z'],
};

const edits: readonly ((random: SeededRandom, seed: DerSeed) => Write)[] = [
  () => () => Buffer.alloc(0),
  () =>
    (content, { tag }) =>
      Buffer.concat([element(tag, content), element(tag, content)]),
  (random) => (content) => element(random.integer(256), content),
  (random) =>
    (content, { tag }) =>
      element(tag, mutateBytes(random, content)),
  () =>
    (content, { tag }) =>
      indefinite(tag, content),
  () =>
    (content, { tag }) =>
      indefinite(tag | 0x20, element(tag & ~0x20, content)),
  (random) =>
    (content, { tag }) =>
      Buffer.concat([header(tag, content.length, 1 + random.integer(4)), content]),
  (random) =>
    (content, { tag }) => {
      const wrong = Math.max(0, content.length + random.pick([-2, -1, 1, 2, 128, 65_536]));
      return Buffer.concat([header(tag, wrong), content]);
    },
  (random) =>
    (_content, { tag }) =>
      element(tag, Buffer.from(random.pick(values[tag] ?? values[2] ?? [[]]) as number[])),
  (random) =>
    (content, { tag }) => {
      const levels = 1 + random.integer(random.chance(0.1) ? 200 : 4);
      const wrap = random.chance(0.5) ? indefinite : element;
      let inside: Buffer = element(tag, content);
      for (let level = 0; level < levels; level += 1) inside = wrap(random.chance(0.8) ? 0x30 : 0x24, inside);
      return inside;
    },
  (random, seed) => {
    const other = random.pick(seed.nodes).whole;
    return () => other;
  },
  (random) =>
    (content, { tag }) =>
      Buffer.concat([element(tag, content), random.pick([endOfContents, Uint8Array.of(5, 0)])]),
];

/** One message after one to three edits, and now and then with damage to its bytes. */
export function mutateDer(random: SeededRandom, seed: DerSeed): Buffer {
  const chosen = new Map<Node, Write>();
  for (let count = random.integer(3); count >= 0; count -= 1)
    chosen.set(random.pick(seed.nodes), random.pick(edits)(random, seed));
  const bytes = encode(seed, chosen, random.chance(0.05) ? random : undefined);
  return random.chance(0.1) ? mutateBytes(random, bytes) : bytes;
}

/** One message in which one element is repeated, or one string goes on, until it has about `sizeBytes`. */
export function growDer(random: SeededRandom, seed: DerSeed, sizeBytes: number): Buffer {
  const unit = random.pick([
    Uint8Array.of(0x04, 0),
    Uint8Array.of(0x30, 0),
    Uint8Array.of(0x24, 0x80, 0, 0),
    random.pick(seed.nodes).whole,
  ]);
  const room = Math.max(0, sizeBytes - 2048);
  let grown: Write = (content, { tag }) => {
    const inside = Buffer.concat([content, filled(unit, room)]);
    return random.chance(0.5) ? element(tag, inside) : indefinite(tag | 0x20, inside);
  };
  if (random.chance(0.3)) {
    const levels = 1 + random.integer(30);
    const inner = grown;
    grown = (content, node) => {
      let inside = inner(content, node);
      for (let level = 0; level < levels; level += 1) inside = indefinite(random.chance(0.5) ? 0x30 : 0x24, inside);
      return inside;
    };
  }
  return encode(seed, new Map([[random.pick(seed.nodes), grown]]));
}

/** The message after the edits; `shuffle` turns some lists around. */
function encode(seed: DerSeed, chosen: ReadonlyMap<Node, Write>, shuffle?: SeededRandom): Buffer {
  const touched = new Set<Node>();
  for (const node of chosen.keys()) {
    for (let at: Node | undefined = node; at !== undefined; at = seed.parents.get(at)) touched.add(at);
  }
  const encodeNode = (node: Node): Buffer => {
    if (!touched.has(node)) return node.whole;
    const parts = node.children?.map(encodeNode);
    if (parts !== undefined && shuffle?.chance(0.2)) parts.reverse();
    const content = parts === undefined ? node.content : Buffer.concat([node.content, ...parts]);
    const write = chosen.get(node);
    return write === undefined ? element(node.tag, content) : write(content, node);
  };
  return encodeNode(seed.root);
}
