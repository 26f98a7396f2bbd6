/**
 * Takes the header that a trusted balancer sends ahead of a connection (PROXY protocol, version 2) off that connection.
 *
 * Invariant: exactly the header is taken: what came behind it is put back for TLS, and nothing is answered before the
 * header is whole. How long it may take is limited by whoever waits for the connection's first request.
 */
import type { Socket } from 'node:net';
import { readProxyHeader } from '../../protocol/proxy-header.ts';

/**
 * Calls exactly one of the two, or neither if the connection ends before.
 * @param onRead is given the client's address, or null when the balancer speaks for itself
 */
export function takeBalancerHeader(
  socket: Socket,
  onRead: (source: string | null) => void,
  onRefused: (reason: string) => void,
): void {
  let come: Buffer = Buffer.alloc(0);
  const look = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    come = come.length === 0 ? chunk : Buffer.concat([come, chunk]);
    const header = readProxyHeader(come);
    if (header.kind === 'incomplete') return;
    socket.off('readable', look);
    socket.off('end', end);
    if (header.kind === 'refused') {
      onRefused(header.reason);
      return;
    }
    const rest = come.subarray(header.sizeBytes);
    if (rest.length > 0) socket.unshift(rest);
    onRead(header.source);
  };
  // As a balancer's check whether the port is open does.
  const end = () => void socket.destroy();
  socket.on('readable', look);
  socket.once('end', end);
}
