/**
 * The bytes of a release archive: the same contents give the same bytes on every machine. The gzip blocks are therefore
 * *stored*: compressor output differs between versions of a library and between processors. Only the build uses this
 * file; the program itself runs on Node releases that lack `crc32`.
 */
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import tar from 'tar-stream';
import type { Entries } from './tar-entries.ts';

const maxStoredBlock = 0xffff;

/** The archive's bytes: entries sorted by path, without times and owners. */
export async function writeEntries(entries: Entries): Promise<Buffer> {
  const pack = tar.pack();
  const bytes = buffer(pack);
  for (const [name, contents] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    pack.entry({ name, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0, type: 'file' }, contents);
  }
  pack.finalize();
  return storedGzip(await bytes);
}

/** @see RFC 1952 §2.3 (gzip member) and RFC 1951 §3.2.4 (stored blocks) */
function storedGzip(contents: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])];
  for (let start = 0; start === 0 || start < contents.length; start += maxStoredBlock) {
    const block = contents.subarray(start, start + maxStoredBlock);
    const head = Buffer.alloc(5);
    head.writeUInt8(start + maxStoredBlock >= contents.length ? 1 : 0, 0);
    head.writeUInt16LE(block.length, 1);
    head.writeUInt16LE(block.length ^ 0xffff, 3);
    parts.push(head, block);
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(contents), 0);
  trailer.writeUInt32LE(contents.length % 2 ** 32, 4);
  return Buffer.concat([...parts, trailer]);
}
