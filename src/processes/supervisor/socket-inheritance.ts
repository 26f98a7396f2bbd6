/**
 * Receives a listening socket from a router that was not started by this supervisor (`process/socket-offer.ts` sends it).
 *
 * Node.js reads a handle from a Unix socket only if the connection was opened as an IPC pipe, which only its own
 * `child_process` does. Here the same is done with the handle's class, which is undocumented; a test takes over a
 * socket, and with a Node.js that lacks it the supervisor stops the routers and binds the port anew.
 */
import net from 'node:net';
import path from 'node:path';
import { socketPath } from '../../base/socket-path.ts';
import { runFolder } from '../../process/adoption-messages.ts';
import type { AdoptedProcess } from './adopted-process.ts';
import { type BoundHandle, heldSocket, type ListeningSocket } from './listening-socket.ts';

type PipeClass = new (type: number) => object;

/** `PipeConstants.IPC` of Node.js. */
const ipcType = 2;
const timeoutMs = 15_000;

/** The listening socket of an adopted process; null when it has none or does not offer it now. */
export async function inheritSocket(
  name: ListeningSocket['name'],
  holder: AdoptedProcess,
  home: string,
  signal: AbortSignal,
): Promise<ListeningSocket | null> {
  const soon = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const offer = await holder.offeredSockets(soon);
  if (offer === null || !offer.names.includes(name)) return null;
  const folder = path.join(runFolder(home), path.basename(offer.folder));
  const handle = await receiveSocket(folder, name, holder.connection, soon).catch(() => null);
  return handle === null ? null : heldSocket(name, handle);
}

/**
 * The handle that is offered as `name` in the folder, bare: nothing accepts on it here.
 * @param like any connection over a Unix socket
 * @returns null when none came
 */
async function receiveSocket(
  folder: string,
  name: string,
  like: net.Socket,
  signal: AbortSignal,
): Promise<BoundHandle | null> {
  const Pipe = (like as unknown as { _handle: object | null })._handle?.constructor as PipeClass | undefined;
  if (Pipe === undefined) return null;
  const pipe = new Pipe(ipcType);
  const came = Promise.withResolvers<BoundHandle | null>();
  // Set by Node.js before it calls back with the bytes that the handle came with.
  Object.defineProperty(pipe, 'pendingHandle', {
    get: () => null,
    set: (handle: BoundHandle | null) => handle !== null && came.resolve(handle),
  });
  signal.addEventListener('abort', () => came.resolve(null), { once: true });
  const at = await socketPath(folder, name);
  const connection = new net.Socket({ handle: pipe, manualStart: true } as net.SocketConstructorOpts);
  connection.on('data', () => undefined);
  connection.once('error', () => came.resolve(null)).once('close', () => came.resolve(null));
  connection.connect(at.path);
  try {
    return await came.promise;
  } finally {
    connection.destroy();
    await at.close();
  }
}
