/**
 * The listening sockets that routers share and the supervisor keeps. The supervisor binds a socket and never listens on
 * it; the first router does, on the same socket. As long as the supervisor holds it, connections that arrive while no
 * router accepts wait in the socket's own queue, and the next router takes them.
 *
 * Invariant: the supervisor accepts nothing. A listening `net.Server` starts accepting in its own process at once, so
 * the handle is created as in Node's own cluster module for sockets shared by workers: bound only.
 */
import type { ChildProcess, SendHandle } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../../base/errors.ts';
import type { SocketName } from '../../process/own-process.ts';
import type { BoundHandle } from '../../process/socket-reception.ts';

export interface ListeningSocket {
  readonly name: SocketName;
  readonly address: string;
  readonly port: number;
  /**
   * Sends `{type: 'socket', name}` with the bare handle. The child's `server.listen(handle)` begins to listen and accept,
   * when the child is ready for it and not before. (Sent as a `net.Server` it would accept at once, and what it accepted
   * before the child listened for connections would hang.)
   */
  sendTo(child: ChildProcess): void;
  readonly descriptor: number;
  close(): void;
}

type CreateServerHandle = (address: string, port: number, family: 4 | 6) => BoundHandle | number;

const retryMs = 100;

/**
 * Binds the address, waiting while another process still listens on it: routers of a supervisor that was killed drain.
 * @throws BrambleError ERR_ADDRESS_IN_USE when it is not free after `waitMs`, ERR_LISTEN for any other reason.
 */
export async function bindListeningSocket(
  name: ListeningSocket['name'],
  address: string,
  port: number,
  options: { waitMs: number; signal: AbortSignal; onWaiting: () => void },
): Promise<ListeningSocket> {
  const deadline = Date.now() + options.waitMs;
  for (let attempt = 0; ; attempt++) {
    const bound = (await isListenedOn(address, port)) ? 'taken' : bind(name, address, port);
    if (bound !== 'taken') {
      return bound;
    }
    if (Date.now() > deadline) {
      throw new BrambleError(
        'ERR_ADDRESS_IN_USE',
        `The ${name} port ${port} on ${address} is in use by another program: stop it, or choose another port in ` +
          'config.json.',
        { details: { address, port } },
      );
    }
    if (attempt === 0) {
      options.onWaiting();
    }
    await delay(retryMs, undefined, { signal: options.signal });
  }
}

function bind(name: ListeningSocket['name'], address: string, port: number): ListeningSocket | 'taken' {
  const create = (net as unknown as { _createServerHandle?: CreateServerHandle })._createServerHandle;
  if (create === undefined) {
    throw new BrambleError('ERR_LISTEN', `Node ${process.version} cannot bind a socket without listening on it.`);
  }
  const handle = create(address, port, net.isIPv6(address) ? 6 : 4);
  if (typeof handle === 'number') {
    throw new BrambleError(
      'ERR_LISTEN',
      `The ${name} port ${port} on ${address} cannot be bound (system error ${handle}).`,
    );
  }
  // A taken port shows only when the address is read, not in the bind call.
  return heldSocket(name, handle) ?? 'taken';
}

/** null, with the handle closed, when it has no port. */
export function heldSocket(name: ListeningSocket['name'], handle: BoundHandle): ListeningSocket | null {
  const own: { address?: string; port?: number } = {};
  if (handle.getsockname(own) !== 0 || own.address === undefined || own.port === undefined) {
    handle.close();
    return null;
  }
  return {
    name,
    address: own.address,
    port: own.port,
    // A child that is gone is handled by its exit event.
    sendTo: (child) => void child.send({ type: 'socket', name }, handle as unknown as SendHandle, () => undefined),
    descriptor: handle.fd,
    close: () => handle.close(),
  };
}

/** Whether it is the configured one; port 0 means any. */
export function isBoundTo(socket: ListeningSocket, address: string, port: number): boolean {
  return (port === 0 || socket.port === port) && socket.address === canonicalAddress(address);
}

/** IPv6 has many ways to write an address. */
function canonicalAddress(address: string): string {
  return new net.SocketAddress({ address, family: net.isIPv6(address) ? 'ipv6' : 'ipv4' }).address;
}

/** Two sockets can be bound to one port as long as neither listens, so binding alone proves nothing. */
async function isListenedOn(address: string, port: number): Promise<boolean> {
  if (port === 0) {
    return false;
  }
  const probe = net.createServer().listen({ host: address, port, exclusive: true });
  try {
    await once(probe, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      return true;
    }
    throw new BrambleError(
      'ERR_LISTEN',
      `Port ${port} on ${address} cannot be opened for listening: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  probe.close();
  await once(probe, 'close');
  return false;
}
