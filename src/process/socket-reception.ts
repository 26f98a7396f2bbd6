/**
 * Receives a listening socket from a process that is neither parent nor child of this one (`socket-offer.ts` sends it).
 *
 * Node.js reads a handle from a Unix socket only if the connection was opened as an IPC pipe, which only its own
 * `child_process` does. Here the same is done with the handle's class, which is undocumented; tests take over a socket, and
 * with a Node.js that lacks it none comes.
 */
import net from 'node:net';
import { socketPath } from '../base/socket-path.ts';

/** Node.js's handle: bound, perhaps listened on by another process. */
export interface BoundHandle {
  readonly fd: number;
  getsockname(out: { address?: string; port?: number }): number;
  close(): void;
}

type PipeClass = new (type: number) => object;

/** `PipeConstants.IPC` of Node.js. */
const ipcType = 2;

/**
 * The handle that is offered as `name` in the folder, bare: nothing accepts on it here.
 * @param like any connection over a Unix socket
 * @returns null when none came
 */
export async function receiveSocket(
  folder: string,
  name: string,
  like: net.Socket,
  signal: AbortSignal,
): Promise<BoundHandle | null> {
  const Pipe = (like as unknown as { _handle: object | null })._handle?.constructor as PipeClass | undefined;
  if (Pipe === undefined || signal.aborted) return null;
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
