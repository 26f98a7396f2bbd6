/**
 * Connections of a server, shared among the addresses that they come from: an IPv4 address, or the /64 that a customer has of IPv6.
 *
 * Invariant: never more than `all`, and of one address never more than `each`. Where all are taken, the address with the most
 * strangers loses the oldest of them to who comes; a connection that is kept is closed for nobody.
 */
import type { Server, Socket } from 'node:net';
import { addressGroup } from '../base/address-group.ts';

interface Shares {
  readonly all: number;
  readonly each: number;
}

/** Either end of TLS has both. */
type Peer = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface SharedConnections {
  /** It is no stranger's. */
  keep(peer: Peer): void;
}

/** Call it before anybody else listens to the connections of the server. */
export function shareConnections(server: Server, { all, each }: Shares): SharedConnections {
  /** How many there are of each address. */
  const held = new Map<string, number>();
  /** What ends each, by address and port, the oldest first. */
  const strangers = new Map<string, Map<string, () => void>>();
  let count = 0;

  /** Whether there was one. */
  function closeStranger(): boolean {
    const [most] = [...strangers.values()].toSorted((one, other) => other.size - one.size);
    const [endOldest] = most?.values() ?? [];
    endOldest?.();
    return endOldest !== undefined;
  }

  function forgetStranger(address: string, key: string): void {
    const own = strangers.get(address);
    own?.delete(key);
    if (own?.size === 0) strangers.delete(address);
  }

  // In their place: a server of TLS cannot take a connection that was closed before.
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket);
    if ((held.get(address) ?? 0) >= each || (count >= all && !closeStranger())) {
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    let isHeld = true;
    count += 1;
    held.set(address, (held.get(address) ?? 0) + 1);
    const end = (): void => {
      socket.destroy();
      if (!isHeld) return;
      isHeld = false;
      count -= 1;
      const left = (held.get(address) ?? 1) - 1;
      if (left === 0) held.delete(address);
      else held.set(address, left);
      forgetStranger(address, key);
    };
    strangers.set(address, (strangers.get(address) ?? new Map<string, () => void>()).set(key, end));
    socket.once('close', end);
    for (const listener of listeners) listener.call(server, socket);
  });
  return { keep: (peer) => forgetStranger(addressOf(peer), keyOf(peer)) };
}

function addressOf({ remoteAddress = '' }: Peer): string {
  return addressGroup(remoteAddress);
}

function keyOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
