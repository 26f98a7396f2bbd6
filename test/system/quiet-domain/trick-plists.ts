/** Binary property lists that no honest device writes, byte by byte. */

/** A `bplist00` of these objects; one-byte references, four-byte offsets, the first object is the root. */
export function binaryPlist(objects: readonly (readonly number[])[]): Buffer {
  const parts: Buffer[] = [Buffer.from('bplist00')];
  const offsets: number[] = [];
  let at = 8;
  for (const object of objects) {
    offsets.push(at);
    parts.push(Buffer.from(object));
    at += object.length;
  }
  const table = Buffer.alloc(offsets.length * 4);
  offsets.forEach((offset, index) => {
    table.writeUInt32BE(offset, index * 4);
  });
  const trailer = Buffer.alloc(32);
  trailer.writeUInt8(4, 6);
  trailer.writeUInt8(1, 7);
  trailer.writeBigUInt64BE(BigInt(offsets.length), 8);
  trailer.writeBigUInt64BE(BigInt(at), 24);
  return Buffer.concat([...parts, table, trailer]);
}

/** Arrays in arrays, so many levels (below 255). */
export function nested(levels: number): Buffer {
  return binaryPlist([...Array.from({ length: levels }, (_, level) => [0xa1, level + 1]), [0xa0]]);
}

/** Each array holds the next one fourteen times: a few hundred bytes that would unfold to 14^levels values. */
export function sharedBomb(levels: number): Buffer {
  const arrays = Array.from({ length: levels }, (_, level) => [0xae, ...Array.from({ length: 14 }, () => level + 1)]);
  return binaryPlist([...arrays, [0x09]]);
}
