/** Reads the bytes of a release archive, tar in gzip, and trusts nothing in them: sizes, paths, kinds of entry. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';
import tar from 'tar-stream';
import { malformed } from './manifest.ts';

/** Contents by path. */
export type Entries = Map<string, Buffer>;

export const maxArchiveBytes = 64 * 1024 * 1024;
const maxUnpackedBytes = 128 * 1024 * 1024;
const maxEntries = 1000;

export function sha256(contents: Buffer): string {
  return createHash('sha256').update(contents).digest('hex');
}

/** @throws BrambleError ERR_RELEASE_ARCHIVE_MALFORMED for anything but plain files in plain places, each once. */
export async function readEntries(archive: Buffer): Promise<Entries> {
  if (archive.length > maxArchiveBytes) {
    throw malformed(`it is larger than ${maxArchiveBytes} bytes`);
  }
  const entries: Entries = new Map();
  try {
    const unpacked = gunzipSync(archive, { maxOutputLength: maxUnpackedBytes });
    const extract = tar.extract();
    await Promise.all([pipeline(Readable.from([unpacked]), extract), collect(extract, entries)]);
  } catch (error) {
    throw error instanceof Error && error.name === 'BrambleError' ? error : malformed('it cannot be unpacked', error);
  }
  return entries;
}

async function collect(extract: tar.Extract, entries: Entries): Promise<void> {
  for await (const entry of extract) {
    const { name, type } = entry.header;
    if (type !== 'file') {
      throw malformed(`the entry "${name}" is a ${type}, not a file`);
    }
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/.test(name) || entries.has(name)) {
      throw malformed(`the entry "${name}" is out of place`);
    }
    if (entries.size >= maxEntries) {
      throw malformed(`it has more than ${maxEntries} entries`);
    }
    entries.set(name, await buffer(entry));
  }
}
