/**
 * Paths of Unix sockets. The system allows about a hundred bytes, which a deeply nested home exceeds: the folder is
 * then addressed through an open descriptor, on systems that have paths for those.
 */
import { open } from 'node:fs/promises';
import path from 'node:path';
import { BrambleError } from './errors.ts';

/** Bytes of `sun_path` that every system we know allows, without the terminating zero. */
const maxPathBytes = 103;

interface SocketPath {
  /** The path to listen on or connect to, valid until it is closed. */
  readonly path: string;
  close(): Promise<void>;
}

/** @throws BrambleError ERR_SOCKET_PATH when the path is too long and the system offers no shorter one. */
export async function socketPath(folder: string, name: string): Promise<SocketPath> {
  const plain = path.join(folder, name);
  if (Buffer.byteLength(plain) <= maxPathBytes) return { path: plain, close: async () => undefined };
  if (process.platform !== 'linux') {
    throw new BrambleError(
      'ERR_SOCKET_PATH',
      `The path ${plain} is too long for a Unix socket (${maxPathBytes} bytes): use a BRAMBLE_HOME with a shorter path.`,
    );
  }
  const handle = await open(folder, 'r');
  return { path: `/proc/self/fd/${handle.fd}/${name}`, close: async () => await handle.close() };
}
